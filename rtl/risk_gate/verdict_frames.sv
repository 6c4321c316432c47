// SPDX-License-Identifier: Apache-2.0
// Verdicts of a risk gate into frames of one CheckVerdict, byte for byte as a check that is a plugin of Penstock sends them.
//
// Only checks are answered; fills and releases are taken, and counted where the gate could not do what they asked.
//   header   seq 0, at_ns of the order's frame, cause_seq: the intent's number, correlation_seq of its frame, origin REPLY,
//            producer: cfg_producer
//   record   order_id: the intent's intent_id; check_id: cfg_producer; met and limit ABSENT; listing_id, strategy_id,
//            source_ns and recv_ns of the intent
// A note (what the answer repeats) comes in the clock in which its order goes to the gate, and waits here for the verdict.
//
// Latency: the first beat is offered 1 clock after the verdict is taken. A frame is 13 beats, and frames follow without gap.
`default_nettype none
module verdict_frames #(
    parameter int NOTES   = 16,  // checks between the taking of a note and the end of its answer; a power of 2, 2 or more
    parameter int COUNT_W = 32   // bits of the counters, which stop at their largest value
) (
    input  wire logic               clk,
    input  wire logic               rst,  // synchronous, active high

    input  wire logic               s_note_tvalid,
    output wire logic               s_note_tready,
    input  wire logic [31:0]        s_note_listing_id,
    input  wire logic [31:0]        s_note_strategy_id,
    input  wire logic [63:0]        s_note_source_ns,
    input  wire logic [63:0]        s_note_recv_ns,
    input  wire logic [63:0]        s_note_cause_seq,
    input  wire logic [63:0]        s_note_correlation_seq,

    input  wire logic               s_verdict_tvalid,
    output wire logic               s_verdict_tready,
    input  wire logic [1:0]         s_verdict_kind,
    input  wire logic [7:0]         s_verdict_reason,
    input  wire logic [63:0]        s_verdict_at_ns,
    input  wire logic [63:0]        s_verdict_intent_id,

    output      logic [63:0]        m_axis_tdata,
    output      logic               m_axis_tvalid,
    input  wire logic               m_axis_tready,
    output      logic               m_axis_tlast,

    input  wire logic [15:0]        cfg_producer,  // number of the plugin that the answers are from

    output      logic [COUNT_W-1:0] sts_passed_count,
    output      logic [COUNT_W-1:0] sts_verdict_refused_count,
    output      logic [COUNT_W-1:0] sts_undone_count,  // fills and releases that the gate did not or not wholly do, …
    output      logic [7:0]         sts_undone_reason  // … the latest for this reason
);
    localparam int HEADER = penstock_pkg::FRAME_HEADER_BEATS;
    localparam logic [3:0] LAST = 4'(HEADER + penstock_pkg::CHECK_VERDICT_BEATS - 1);
    localparam logic [7:0] ORIGIN_REPLY = 8'd4;
    localparam int PTR_W = $clog2(NOTES) + 1;  // one bit more than an address: full and empty differ in it

    initial begin
        if (NOTES < 2 || (NOTES & (NOTES - 1)) != 0) $fatal(1, "%m: NOTES=%0d, wanted a power of 2, 2 or more", NOTES);
        if (penstock_pkg::CHECK_VERDICT_BEATS != 7) $fatal(1, "%m: a CheckVerdict has other beats, wanted 7");
    end

    logic [319:0]     note_ram [0:NOTES-1];
    logic [PTR_W-1:0] wr_q, rd_q;
    wire logic [PTR_W-1:0] used = wr_q - rd_q;
    assign s_note_tready = !used[PTR_W-1];

    wire logic [31:0] listing_id, strategy_id;
    wire logic [63:0] source_ns, recv_ns, cause_seq, correlation_seq;
    assign {listing_id, strategy_id, source_ns, recv_ns, cause_seq, correlation_seq} = note_ram[rd_q[PTR_W-2:0]];

    logic [3:0]  beat_q;  // the one after that which is offered
    logic [7:0]  reason_q;
    logic [63:0] at_ns_q, intent_id_q;

    wire logic step  = m_axis_tready || !m_axis_tvalid;
    wire logic ends  = m_axis_tvalid && m_axis_tlast;
    assign s_verdict_tready = !m_axis_tvalid || m_axis_tlast && m_axis_tready;
    wire logic taken = s_verdict_tvalid && s_verdict_tready;
    wire logic check = taken && s_verdict_kind == tick_pkg::GATE_CHECK;
    wire logic other = taken && s_verdict_kind != tick_pkg::GATE_CHECK;

    logic [63:0] beat;
    always_comb begin
        case (beat_q)
            4'd1:    beat = 64'd0;
            4'd2:    beat = at_ns_q;
            4'd3:    beat = cause_seq;
            4'd4:    beat = correlation_seq;
            4'd5:    beat = {cfg_producer, penstock_pkg::CHECK_VERDICT_BYTES, 32'd1};
            4'd6:    beat = intent_id_q;
            4'd7:    beat = {16'd0, cfg_producer, 8'd0, reason_q, 8'd0,
                             reason_q == 0 ? penstock_pkg::CHECK_RESULT_PASSED : penstock_pkg::CHECK_RESULT_REFUSED};
            4'd8:    beat = penstock_pkg::ABSENT;
            4'd9:    beat = penstock_pkg::ABSENT;
            4'd10:   beat = {strategy_id, listing_id};
            4'd11:   beat = source_ns;
            4'd12:   beat = recv_ns;
            default: beat = {ORIGIN_REPLY, penstock_pkg::CHECK_VERDICT_VERSION, penstock_pkg::CHECK_VERDICT_ID,
                             16'd0, penstock_pkg::CHECK_VERDICT_BYTES};
        endcase
    end

    always_ff @(posedge clk) begin
        if (s_note_tvalid && s_note_tready) begin
            note_ram[wr_q[PTR_W-2:0]] <= {s_note_listing_id, s_note_strategy_id, s_note_source_ns, s_note_recv_ns,
                                          s_note_cause_seq, s_note_correlation_seq};
            wr_q <= wr_q + 1'b1;
        end
        if (ends && m_axis_tready) rd_q <= rd_q + 1'b1;

        if (check) begin
            reason_q    <= s_verdict_reason;
            at_ns_q     <= s_verdict_at_ns;
            intent_id_q <= s_verdict_intent_id;
        end
        if (step) begin
            m_axis_tdata  <= beat;
            m_axis_tlast  <= beat_q == LAST;
            m_axis_tvalid <= check || m_axis_tvalid && !m_axis_tlast;
            if (check || m_axis_tvalid && !m_axis_tlast) beat_q <= beat_q == LAST ? 4'd0 : beat_q + 4'd1;
        end

        if (check && s_verdict_reason == 0 && !(&sts_passed_count)) sts_passed_count <= sts_passed_count + 1'b1;
        if (check && s_verdict_reason != 0 && !(&sts_verdict_refused_count))
            sts_verdict_refused_count <= sts_verdict_refused_count + 1'b1;
        if (other && s_verdict_reason != 0) begin
            sts_undone_reason <= s_verdict_reason;
            if (!(&sts_undone_count)) sts_undone_count <= sts_undone_count + 1'b1;
        end

        if (rst) begin
            wr_q   <= '0;
            rd_q   <= '0;
            beat_q <= 4'd0;
            m_axis_tvalid <= 1'b0;
            m_axis_tlast  <= 1'b0;
            sts_passed_count          <= '0;
            sts_verdict_refused_count <= '0;
            sts_undone_count          <= '0;
            sts_undone_reason         <= 8'd0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(65)) m_axis_i (
        .clk, .rst, .tvalid(m_axis_tvalid), .tready(m_axis_tready), .payload({m_axis_tlast, m_axis_tdata})
    );
    counter_rules #(.WIDTH(COUNT_W)) passed_i (.clk, .rst, .count(sts_passed_count));
    counter_rules #(.WIDTH(COUNT_W)) refused_i (.clk, .rst, .count(sts_verdict_refused_count));
    counter_rules #(.WIDTH(COUNT_W)) undone_i (.clk, .rst, .count(sts_undone_count));
    always_comb if (ran_q) begin
        place: assert (beat_q <= LAST && m_axis_tvalid == (beat_q != 0 || m_axis_tlast));
        ended: assert (!m_axis_tlast || beat_q == 0);
        begun: assert (!m_axis_tvalid || beat_q != 1 || m_axis_tdata[47:32] == penstock_pkg::CHECK_VERDICT_ID);
    end
`endif
endmodule
`default_nettype wire
