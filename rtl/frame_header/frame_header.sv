// SPDX-License-Identifier: Apache-2.0
// Frame filter: pass frames of one record whole, drop all others whole, and say why. The first byte is tdata[7:0].
//
// A frame is 6 beats of header and count * STRIDE bytes of records; tlast ends it. The header decides: the frame is
// refused by the first reason that holds.
//   1 TRUNCATED  tlast within the header, or on its last beat
//   2 SCHEMA     schema_id is not SCHEMA_ID
//   3 VERSION    version is not VERSION
//   4 STRIDE     stride is not STRIDE
//   5 COUNT      count is 0 or above FRAME_RECORDS_MAX
//   6 LENGTH     body_bytes is not count * STRIDE
// A passed frame whose tlast comes before the length that its header states ends there, and one that goes on is cut at that
// length: either way m_axis_tuser marks its last beat as broken.
//
// Latency: the header's first beat leaves one cycle after its last beat came (6 cycles in an unbroken stream). 1 beat per
// cycle. s_axis_tready and m_axis_tvalid come from registers.
`default_nettype none
module frame_header #(
    parameter logic [15:0] SCHEMA_ID   = penstock_pkg::QUOTE_ID,           // the one record that passes …
    parameter logic [7:0]  VERSION     = penstock_pkg::QUOTE_VERSION,      // … its version …
    parameter logic [15:0] STRIDE      = penstock_pkg::QUOTE_BYTES,        // … its bytes, a multiple of 8 …
    parameter logic [31:0] LAYOUT_HASH = penstock_pkg::QUOTE_LAYOUT_HASH,  // … and its layout, for a driver to compare
    parameter int          DEPTH       = 16,  // beats held; a power of 2, 8 or more
    parameter int          COUNT_W     = 32   // bits of the counters, which stop at their largest value
) (
    input  wire logic               clk,
    input  wire logic               rst,  // synchronous, active high

    input  wire logic [63:0]        s_axis_tdata,
    input  wire logic               s_axis_tvalid,
    output wire logic               s_axis_tready,
    input  wire logic               s_axis_tlast,

    output wire logic [63:0]        m_axis_tdata,
    output wire logic               m_axis_tvalid,
    input  wire logic               m_axis_tready,
    output wire logic               m_axis_tlast,
    output wire logic               m_axis_tuser,  // with tlast: the frame is broken, discard it

    output wire logic [31:0]        sts_layout_hash,
    output      logic               sts_passed,    // one cycle per frame: its header was taken …
    output      logic               sts_refused,   // … or refused, for sts_reason
    output      logic               sts_broken,    // one cycle per passed frame of another length than its header states
    output      logic [2:0]         sts_reason,    // of the latest refusal
    output      logic [15:0]        sts_schema_id, // the latest whole header, passed or refused
    output      logic [7:0]         sts_version,
    output      logic [15:0]        sts_stride,    // bytes
    output      logic [31:0]        sts_count,     // records
    output      logic [63:0]        sts_seq,
    output      logic [COUNT_W-1:0] sts_passed_count,
    output      logic [COUNT_W-1:0] sts_refused_count,
    output      logic [COUNT_W-1:0] sts_broken_count
);
    localparam logic [2:0] REASON_NONE = 3'd0, REASON_TRUNCATED = 3'd1, REASON_SCHEMA = 3'd2, REASON_VERSION = 3'd3;
    localparam logic [2:0] REASON_STRIDE = 3'd4, REASON_COUNT = 3'd5, REASON_LENGTH = 3'd6;
    localparam logic [1:0] IN_HEADER = 2'd0, IN_BODY = 2'd1, IN_WASTE = 2'd2;
    localparam int HEADER_LAST = penstock_pkg::FRAME_HEADER_BEATS - 1;
    localparam int PTR_W = $clog2(DEPTH) + 1;  // one bit more than an address: full and empty differ in it

    initial begin
        if (STRIDE == 0 || STRIDE[2:0] != 0) $fatal(1, "%m: STRIDE=%0d, wanted a multiple of 8", STRIDE);
        if (DEPTH < 8 || (DEPTH & (DEPTH - 1)) != 0) $fatal(1, "%m: DEPTH=%0d, wanted a power of 2, 8 or more", DEPTH);
        // The verdict falls on the header's last beat and takes these two from the stream itself.
        if (penstock_pkg::FRAME_COUNT_BEAT != HEADER_LAST || penstock_pkg::FRAME_STRIDE_BEAT != HEADER_LAST)
            $fatal(1, "%m: count and stride lie before the header's last beat, wanted them on it");
    end

    logic [1:0]  state_q;  // where the next beat of the input belongs
    logic [2:0]  beat_q;   // its number in the header
    logic [31:0] left_q;   // beats of the body still to come, the next one included

    logic [penstock_pkg::FRAME_BODY_BYTES_W-1:0] body_bytes_q;
    logic [penstock_pkg::FRAME_SCHEMA_ID_W-1:0]  schema_id_q;
    logic [penstock_pkg::FRAME_VERSION_W-1:0]    version_q;
    logic [penstock_pkg::FRAME_SEQ_W-1:0]        seq_q;

    // Beats wait in a ring: written at wr, free to leave up to commit; a refusal takes wr back to commit.
    logic [65:0]      ring_q [0:DEPTH-1];  // {tuser, tlast, tdata}
    logic [PTR_W-1:0] wr_q, commit_q, rd_q;

    wire logic [PTR_W-1:0] used = wr_q - rd_q;
    // Of a header at most 5 beats wait among at least 8 places: a full ring always has a beat to give.
    assign s_axis_tready = !used[PTR_W-1];
    assign m_axis_tvalid = rd_q != commit_q;
    assign {m_axis_tuser, m_axis_tlast, m_axis_tdata} = ring_q[rd_q[PTR_W-2:0]];
    assign sts_layout_hash = LAYOUT_HASH;

    wire logic take = s_axis_tvalid && s_axis_tready;
    wire logic in_header = take && state_q == IN_HEADER;
    wire logic in_body   = take && state_q == IN_BODY;

    wire logic [penstock_pkg::FRAME_COUNT_W-1:0] count =
        s_axis_tdata[penstock_pkg::FRAME_COUNT_LSB +: penstock_pkg::FRAME_COUNT_W];
    wire logic [penstock_pkg::FRAME_STRIDE_W-1:0] stride =
        s_axis_tdata[penstock_pkg::FRAME_STRIDE_LSB +: penstock_pkg::FRAME_STRIDE_W];

    wire logic whole  = in_header && beat_q == 3'(HEADER_LAST);
    wire logic [2:0] reason =
        s_axis_tlast                                            ? REASON_TRUNCATED :
        schema_id_q != SCHEMA_ID                                ? REASON_SCHEMA :
        version_q != VERSION                                    ? REASON_VERSION :
        stride != STRIDE                                        ? REASON_STRIDE :
        count == 0 || count > penstock_pkg::FRAME_RECORDS_MAX   ? REASON_COUNT :
        body_bytes_q != count * 32'(STRIDE)                     ? REASON_LENGTH : REASON_NONE;
    wire logic pass   = whole && reason == REASON_NONE;
    wire logic refuse = in_header && (s_axis_tlast || whole && reason != REASON_NONE);

    wire logic body_end = left_q == 1;
    wire logic broken   = in_body && s_axis_tlast != body_end;

    wire logic [PTR_W-1:0] wr_next = wr_q + 1'b1;

    always_ff @(posedge clk) begin
        if (take) ring_q[wr_q[PTR_W-2:0]] <= {broken, in_body && (s_axis_tlast || body_end), s_axis_tdata};

        if (refuse) wr_q <= commit_q;
        else if (in_header || in_body) wr_q <= wr_next;
        if (pass || in_body) commit_q <= wr_next;
        if (m_axis_tvalid && m_axis_tready) rd_q <= rd_q + 1'b1;

        if (in_header) begin
            beat_q <= s_axis_tlast || whole ? 3'd0 : beat_q + 3'd1;
            if (beat_q == 3'(penstock_pkg::FRAME_BODY_BYTES_BEAT))
                body_bytes_q <= s_axis_tdata[penstock_pkg::FRAME_BODY_BYTES_LSB +: penstock_pkg::FRAME_BODY_BYTES_W];
            if (beat_q == 3'(penstock_pkg::FRAME_SCHEMA_ID_BEAT))
                schema_id_q <= s_axis_tdata[penstock_pkg::FRAME_SCHEMA_ID_LSB +: penstock_pkg::FRAME_SCHEMA_ID_W];
            if (beat_q == 3'(penstock_pkg::FRAME_VERSION_BEAT))
                version_q <= s_axis_tdata[penstock_pkg::FRAME_VERSION_LSB +: penstock_pkg::FRAME_VERSION_W];
            if (beat_q == 3'(penstock_pkg::FRAME_SEQ_BEAT))
                seq_q <= s_axis_tdata[penstock_pkg::FRAME_SEQ_LSB +: penstock_pkg::FRAME_SEQ_W];
        end

        if (pass) left_q <= body_bytes_q >> 3;
        else if (in_body) left_q <= left_q - 1;

        if (take && s_axis_tlast) state_q <= IN_HEADER;
        else if (pass) state_q <= IN_BODY;
        else if (refuse || in_body && body_end) state_q <= IN_WASTE;

        sts_passed  <= pass;
        sts_refused <= refuse;
        sts_broken  <= broken;
        if (refuse) sts_reason <= reason;
        if (whole) begin
            sts_schema_id <= schema_id_q;
            sts_version   <= version_q;
            sts_stride    <= stride;
            sts_count     <= count;
            sts_seq       <= seq_q;
        end
        if (pass && !(&sts_passed_count)) sts_passed_count <= sts_passed_count + 1'b1;
        if (refuse && !(&sts_refused_count)) sts_refused_count <= sts_refused_count + 1'b1;
        if (broken && !(&sts_broken_count)) sts_broken_count <= sts_broken_count + 1'b1;

        if (rst) begin
            state_q <= IN_HEADER;
            beat_q  <= 3'd0;
            wr_q     <= '0;
            commit_q <= '0;
            rd_q     <= '0;
            sts_passed  <= 1'b0;
            sts_refused <= 1'b0;
            sts_broken  <= 1'b0;
            sts_reason  <= REASON_NONE;
            sts_passed_count  <= '0;
            sts_refused_count <= '0;
            sts_broken_count  <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(65), .ASSUME(1)) s_axis_i (
        .clk, .rst, .tvalid(s_axis_tvalid), .tready(s_axis_tready), .payload({s_axis_tlast, s_axis_tdata})
    );
    axis_rules #(.WIDTH(66)) m_axis_i (
        .clk, .rst, .tvalid(m_axis_tvalid), .tready(m_axis_tready), .payload({m_axis_tuser, m_axis_tlast, m_axis_tdata})
    );
    counter_rules #(.WIDTH(COUNT_W)) passed_i (.clk, .rst, .count(sts_passed_count));
    counter_rules #(.WIDTH(COUNT_W)) refused_i (.clk, .rst, .count(sts_refused_count));
    counter_rules #(.WIDTH(COUNT_W)) broken_i (.clk, .rst, .count(sts_broken_count));

    // rd <= commit <= wr <= rd + DEPTH round the ring, and only a header's beats wait uncommitted.
    wire logic [PTR_W-1:0] ready_beats = commit_q - rd_q;
    wire logic [PTR_W-1:0] header_beats = wr_q - commit_q;
    always_comb if (ran_q) begin
        room:    assert (32'(used) <= DEPTH);
        order:   assert (ready_beats <= used);
        waiting: assert (header_beats == (state_q == IN_HEADER ? PTR_W'(beat_q) : '0));
        place:   assert (beat_q <= 3'(HEADER_LAST) && state_q <= IN_WASTE && (state_q == IN_HEADER || beat_q == 0));
        length:  assert (state_q != IN_BODY || left_q != 0);
    end
`endif
endmodule
`default_nettype wire
