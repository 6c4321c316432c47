// SPDX-License-Identifier: Apache-2.0
// Frames of the software order path into what a risk gate takes, in their order: a frame takes effect whole or not at all.
//
//   OrderIntent      a check. An action other than NEW, or no price, goes on with side 0, which the gate calls MALFORMED.
//   ExecutionReport  FILL: a fill of last_lots. CANCELLED, EXPIRED, REJECTED: a release of leaves_lots, the lots that the
//                    order still worked for when it ended. Other kinds do nothing.
//   Quote            a reference price, the mid, if both prices are there and fit; else the last one stays.
// The listing's slot is asked for when the listing comes and read on the record's last beat. A listing without a slot
// goes on as slot SLOTS, which no gate knows; its quotes are passed over. A negative quantity goes on as 0, which the gate
// refuses as well; what else does not fit the widths goes on with fits = 0. The time of all is the frame's at_ns.
//
// A frame is refused by the first reason that holds, and counted:
//   1 TRUNCATED  tlast within the header, or on its last beat     2 SCHEMA  none of the three
//   3 VERSION    not the record's                                 4 STRIDE  not the record's
//   5 COUNT      count is 0 or above RECORDS_MAX                  6 LENGTH  body_bytes is not count * stride
//   8 LATE       its seq is not above those of the records that took effect: it came before, or too late
//   7 BROKEN     tlast comes before or after the length that the header states
//
// Latency: the frame's first beat leaves 1 clock after its tlast. 1 beat of input per clock.
// A note goes with each check, taken in the same clock: what the answer to it repeats.
`default_nettype none
module order_frames #(
    parameter int SLOTS       = 255,  // listings; no power of 2, so that SLOTS itself is a number that no listing has
    parameter int PRICE_W     = 32,   // bits of a signed price in ticks
    parameter int QTY_W       = 24,   // bits of an order's lots
    parameter int RECORDS_MAX = 8,    // records in a frame; a power of 2, 2 or more
    parameter int COUNT_W     = 32,   // bits of the counters, which stop at their largest value
    localparam int SLOT_W     = $clog2(SLOTS)
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic [63:0]               s_axis_tdata,
    input  wire logic                      s_axis_tvalid,
    output      logic                      s_axis_tready,
    input  wire logic                      s_axis_tlast,

    input  wire logic                      lookup_busy,     // no lookup can be made: frames wait
    output      logic                      lookup_tvalid,   // 1 clock: which slot has …
    output      logic [31:0]               lookup_listing,  // … this listing; it stays until the next
    input  wire logic                      lookup_hit,      // known 5 clocks later
    input  wire logic [SLOT_W-1:0]         lookup_slot,

    output wire logic                      m_ref_tvalid,  // always taken, at most every second clock
    output wire logic [SLOT_W-1:0]         m_ref_slot,
    output wire logic                      m_ref_has_price,
    output wire logic signed [PRICE_W-1:0] m_ref_price_ticks,
    output wire logic [63:0]               m_ref_at_ns,

    output wire logic                      m_order_tvalid,
    input  wire logic                      m_order_tready,
    output wire logic [1:0]                m_order_kind,
    output wire logic [SLOT_W-1:0]         m_order_slot,
    output wire logic [1:0]                m_order_side,
    output wire logic signed [PRICE_W-1:0] m_order_price_ticks,
    output wire logic [QTY_W-1:0]          m_order_lots,
    output wire logic                      m_order_fits,
    output wire logic [63:0]               m_order_at_ns,
    output wire logic [63:0]               m_order_intent_id,

    output wire logic                      m_note_tvalid,  // with a check's order beat
    input  wire logic                      m_note_tready,  // low: there is no room, orders wait
    output wire logic [31:0]               m_note_listing_id,
    output wire logic [31:0]               m_note_strategy_id,
    output wire logic [63:0]               m_note_source_ns,
    output wire logic [63:0]               m_note_recv_ns,
    output wire logic [63:0]               m_note_cause_seq,
    output wire logic [63:0]               m_note_correlation_seq,

    output      logic [COUNT_W-1:0]        sts_frame_count,      // took effect
    output      logic [COUNT_W-1:0]        sts_refused_count,    // did not, …
    output      logic [3:0]                sts_refused_reason,   // … the latest for this reason
    output      logic [COUNT_W-1:0]        sts_reference_count,  // references given
    output      logic [COUNT_W-1:0]        sts_misfit_count,     // quotes of a price that does not fit, passed over
    output wire logic                      sts_occupied          // a frame is under way, or something of one waits
);
    localparam logic [3:0] REASON_NONE = 4'd0, REASON_TRUNCATED = 4'd1, REASON_SCHEMA = 4'd2, REASON_VERSION = 4'd3;
    localparam logic [3:0] REASON_STRIDE = 4'd4, REASON_COUNT = 4'd5, REASON_LENGTH = 4'd6, REASON_BROKEN = 4'd7;
    localparam logic [3:0] REASON_LATE = 4'd8;
    localparam logic [1:0] IN_HEADER = 2'd0, IN_RECORDS = 2'd1, IN_WASTE = 2'd2;
    localparam logic [1:0] INTENT = 2'd0, REPORT = 2'd1, QUOTE = 2'd2, OTHER = 2'd3;
    localparam int HEADER_LAST = penstock_pkg::FRAME_HEADER_BEATS - 1;
    localparam int DEPTH = 2 * RECORDS_MAX;  // a frame that waits, and one that comes
    localparam int PTR_W = $clog2(DEPTH) + 1;  // one bit more than an address: full and empty differ in it
    localparam int ENTRY_W = 1 + 2 + SLOT_W + 2 + PRICE_W + QTY_W + 1 + 64 * 6 + 32 * 2;

    initial begin
        if (RECORDS_MAX < 2 || (RECORDS_MAX & (RECORDS_MAX - 1)) != 0)
            $fatal(1, "%m: RECORDS_MAX=%0d, wanted a power of 2, 2 or more", RECORDS_MAX);
        if (SLOTS < 3 || (SLOTS & (SLOTS - 1)) == 0) $fatal(1, "%m: SLOTS=%0d, wanted no power of 2, above 2", SLOTS);
        if (PRICE_W > 63 || QTY_W > 62) $fatal(1, "%m: PRICE_W=%0d, QTY_W=%0d, wanted less than 63", PRICE_W, QTY_W);
        if (penstock_pkg::FRAME_COUNT_BEAT != HEADER_LAST || penstock_pkg::FRAME_STRIDE_BEAT != HEADER_LAST)
            $fatal(1, "%m: count and stride lie before the header's last beat, wanted them on it");
    end

    logic [1:0]  state_q;   // where the next beat of the input belongs
    logic [3:0]  beat_q;    // its number in the header or the record

    wire logic take      = s_axis_tvalid && s_axis_tready;
    wire logic in_header = take && state_q == IN_HEADER;
    wire logic in_record = take && state_q == IN_RECORDS;

    // The header; it is judged in the clock after its last beat, long before a record ends.
    logic        whole_q;   // the header came whole in the clock before
    logic [1:0]  schema_q;
    logic        version_ok_q;
    logic [31:0] body_bytes_q, count_q;
    logic [15:0] stride_q;
    logic [63:0] at_ns_q, cause_seq_q, correlation_seq_q;
    logic [3:0]  reason_q;  // of the frame under way; known 2 clocks after its header
    logic signed [63:0] last_seq_q;  // of the latest record that took effect; -1 before the first
    logic               late_q;      // a clock ago the frame's was not above it

    wire logic [15:0] schema_id = s_axis_tdata[penstock_pkg::FRAME_SCHEMA_ID_LSB +: 16];
    wire logic [7:0]  version   = s_axis_tdata[penstock_pkg::FRAME_VERSION_LSB +: 8];
    wire logic [15:0] bytes     = schema_q == INTENT ? penstock_pkg::ORDER_INTENT_BYTES :
                                  schema_q == REPORT ? penstock_pkg::EXECUTION_REPORT_BYTES : penstock_pkg::QUOTE_BYTES;
    wire logic [3:0]  reason =
        schema_q == OTHER                                   ? REASON_SCHEMA :
        !version_ok_q                                       ? REASON_VERSION :
        stride_q != bytes                                   ? REASON_STRIDE :
        count_q == 0 || count_q > 32'(RECORDS_MAX)          ? REASON_COUNT :
        body_bytes_q != 32'(count_q[PTR_W-1:0]) * 32'(bytes) ? REASON_LENGTH :
        late_q                                              ? REASON_LATE : REASON_NONE;

    wire logic header_end = in_header && beat_q == 4'(HEADER_LAST);
    wire logic cut        = in_header && s_axis_tlast;

    // The record under way.
    logic [PTR_W-1:0]          left_q;  // records still to come, this one included
    logic [31:0]               strategy_id_q;
    logic [63:0]               intent_id_q, source_ns_q;
    logic [1:0]                side_q;
    logic                      malformed_q, fits_q, fill_q, ending_q, bid_q, ask_q;
    logic signed [PRICE_W-1:0] price_ticks_q, ask_ticks_q;  // of a quote the bid; then the mid
    logic [QTY_W-1:0]          lots_q;
    logic                      sized_q;  // price_ticks_q and ask_ticks_q are a quote's, whole

    wire logic [63:0] data = s_axis_tdata;
    wire logic intent = in_record && schema_q == INTENT;
    wire logic report = in_record && schema_q == REPORT;
    wire logic quote  = in_record && schema_q == QUOTE;

    wire logic price_fits  = (&data[63:PRICE_W-1]) || !(|data[63:PRICE_W-1]);
    wire logic price_there = data != penstock_pkg::ABSENT;
    wire logic lots_fit    = data[63] || !(|data[62:QTY_W]);
    wire logic [QTY_W-1:0] lots = data[63] || !lots_fit ? '0 : data[QTY_W-1:0];

    wire logic signed [PRICE_W:0] both = {price_ticks_q[PRICE_W-1], price_ticks_q} + {ask_ticks_q[PRICE_W-1], ask_ticks_q};

    wire logic listing_comes = (intent || quote) && beat_q == 4'(penstock_pkg::QUOTE_LISTING_ID_BEAT)
                            || report && beat_q == 4'(penstock_pkg::EXECUTION_REPORT_LISTING_ID_BEAT);
    wire logic [3:0] beat_last = schema_q == INTENT ? 4'(penstock_pkg::ORDER_INTENT_BEATS - 1) :
                                 schema_q == REPORT ? 4'(penstock_pkg::EXECUTION_REPORT_BEATS - 1)
                                                    : 4'(penstock_pkg::QUOTE_BEATS - 1);
    wire logic record_end = in_record && beat_q == beat_last;
    wire logic last_end   = record_end && left_q == 1;
    wire logic broken     = in_record && s_axis_tlast != last_end;
    wire logic pass       = last_end && s_axis_tlast;

    wire logic is_ref = schema_q == QUOTE;
    wire logic counts = schema_q == INTENT || schema_q == REPORT && (fill_q || ending_q)
                     || is_ref && lookup_hit && bid_q && ask_q;
    wire logic put    = record_end && counts;

    // Entries wait in a ring: written at wr, free to leave up to commit; a refusal takes wr back to commit.
    logic [ENTRY_W-1:0] entry_ram [0:DEPTH-1];
    logic [PTR_W-1:0]   wr_q, commit_q, rd_q;

    wire logic [PTR_W-1:0] used    = wr_q - rd_q;
    wire logic [PTR_W-1:0] wr_next = put ? wr_q + 1'b1 : wr_q;
    wire logic [1:0] kind = schema_q == INTENT ? tick_pkg::GATE_CHECK : fill_q ? tick_pkg::GATE_FILL : tick_pkg::GATE_RELEASE;
    wire logic [ENTRY_W-1:0] entry = {
        is_ref, kind, lookup_hit ? lookup_slot : SLOT_W'(SLOTS), malformed_q ? 2'd0 : side_q, price_ticks_q, lots_q, fits_q,
        at_ns_q, intent_id_q, source_ns_q, data, cause_seq_q, correlation_seq_q, lookup_listing, strategy_id_q};

    logic ref_q;  // a reference left in the clock before
    wire logic waits = rd_q != commit_q;
    wire logic head_is_ref;
    assign {head_is_ref, m_order_kind, m_order_slot, m_order_side, m_order_price_ticks, m_order_lots, m_order_fits,
            m_order_at_ns, m_order_intent_id, m_note_source_ns, m_note_recv_ns, m_note_cause_seq, m_note_correlation_seq,
            m_note_listing_id, m_note_strategy_id} = entry_ram[rd_q[PTR_W-2:0]];

    // Room for a note, once there, stays until one is given: an offered order stays offered.
    assign m_order_tvalid    = waits && !head_is_ref && m_note_tready;
    assign m_note_tvalid     = m_order_tvalid && m_order_tready && m_order_kind == tick_pkg::GATE_CHECK;
    // A gate takes a reference at most at every second edge.
    assign m_ref_tvalid      = waits && head_is_ref && m_order_fits && !ref_q;
    assign m_ref_slot        = m_order_slot;
    assign m_ref_has_price   = 1'b1;
    assign m_ref_price_ticks = m_order_price_ticks;
    assign m_ref_at_ns       = m_order_at_ns;
    wire logic misfit = waits && head_is_ref && !m_order_fits;
    wire logic leave  = m_ref_tvalid || misfit || m_order_tvalid && m_order_tready;
    assign sts_occupied = state_q != IN_HEADER || beat_q != 4'd0 || wr_q != rd_q;

    // What the clock before brought: a refusal is counted when the header has been judged.
    logic cut_q, judged_q, broken_q;
    wire logic refused = cut_q || judged_q && reason_q != REASON_NONE || broken_q && reason_q == REASON_NONE;

    always_ff @(posedge clk) begin
        // A record takes 7 beats or more, so that a ring with one place left a clock ago has not filled since.
        s_axis_tready <= used < PTR_W'(DEPTH - 1) && !lookup_busy;
        if (put) entry_ram[wr_q[PTR_W-2:0]] <= entry;
        wr_q <= broken ? commit_q : wr_next;
        if (pass) commit_q <= wr_next;
        if (leave) rd_q <= rd_q + 1'b1;
        ref_q <= m_ref_tvalid;

        if (in_header) begin
            if (beat_q == 4'(penstock_pkg::FRAME_SCHEMA_ID_BEAT)) begin
                body_bytes_q <= data[penstock_pkg::FRAME_BODY_BYTES_LSB +: 32];
                schema_q <= schema_id == penstock_pkg::ORDER_INTENT_ID     ? INTENT :
                            schema_id == penstock_pkg::EXECUTION_REPORT_ID ? REPORT :
                            schema_id == penstock_pkg::QUOTE_ID            ? QUOTE : OTHER;
                version_ok_q <= version == (
                    schema_id == penstock_pkg::ORDER_INTENT_ID     ? penstock_pkg::ORDER_INTENT_VERSION :
                    schema_id == penstock_pkg::EXECUTION_REPORT_ID ? penstock_pkg::EXECUTION_REPORT_VERSION :
                                                                     penstock_pkg::QUOTE_VERSION);
            end
            if (beat_q == 4'(penstock_pkg::FRAME_SEQ_BEAT)) cause_seq_q <= data;
            if (beat_q == 4'(penstock_pkg::FRAME_AT_NS_BEAT)) at_ns_q <= data;
            if (beat_q == 4'(penstock_pkg::FRAME_CORRELATION_SEQ_BEAT)) correlation_seq_q <= data;
            if (header_end) begin
                count_q  <= data[penstock_pkg::FRAME_COUNT_LSB +: 32];
                stride_q <= data[penstock_pkg::FRAME_STRIDE_LSB +: 16];
            end
        end
        // The header's seq stands for three clocks or more before it is judged.
        late_q  <= $signed(cause_seq_q) <= last_seq_q;
        if (pass) last_seq_q <= $signed(cause_seq_q);
        whole_q <= header_end && !s_axis_tlast;
        if (whole_q) reason_q <= reason;

        // No frame that is right is longer than RECORDS_MAX, and only a frame that is right takes effect.
        if (header_end) left_q <= data[penstock_pkg::FRAME_COUNT_LSB +: PTR_W];
        else if (record_end) left_q <= left_q - 1'b1;

        if (take && s_axis_tlast || header_end || record_end) beat_q <= 4'd0;
        else if (in_header || in_record) beat_q <= beat_q + 4'd1;

        if (take && s_axis_tlast) state_q <= IN_HEADER;
        else if (header_end) state_q <= IN_RECORDS;
        else if (broken || state_q == IN_RECORDS && judged_q && reason_q != REASON_NONE) state_q <= IN_WASTE;

        lookup_tvalid <= listing_comes;
        if (listing_comes) lookup_listing <= data[31:0];

        if (intent) begin
            if (beat_q == 4'(penstock_pkg::ORDER_INTENT_ACTION_BEAT)) begin
                malformed_q <= data[penstock_pkg::ORDER_INTENT_ACTION_LSB +: 8] != penstock_pkg::INTENT_ACTION_NEW
                            || |data[penstock_pkg::ORDER_INTENT_SIDE_LSB + 2 +: 6];
                side_q      <= data[penstock_pkg::ORDER_INTENT_SIDE_LSB +: 2];
            end
            if (beat_q == 4'(penstock_pkg::ORDER_INTENT_PRICE_TICKS_BEAT)) begin
                if (!price_there) malformed_q <= 1'b1;
                fits_q        <= price_fits || !price_there;
                price_ticks_q <= price_fits ? data[PRICE_W-1:0] : '0;
            end
            if (beat_q == 4'(penstock_pkg::ORDER_INTENT_QTY_LOTS_BEAT)) begin
                if (!lots_fit) fits_q <= 1'b0;
                lots_q <= lots;
            end
            if (beat_q == 4'(penstock_pkg::ORDER_INTENT_INTENT_ID_BEAT)) intent_id_q <= data;
            if (beat_q == 4'(penstock_pkg::ORDER_INTENT_STRATEGY_ID_BEAT))
                strategy_id_q <= data[penstock_pkg::ORDER_INTENT_STRATEGY_ID_LSB +: 32];
            if (beat_q == 4'(penstock_pkg::ORDER_INTENT_SOURCE_NS_BEAT)) source_ns_q <= data;
        end
        if (report) begin
            if (beat_q == 4'(penstock_pkg::EXECUTION_REPORT_ORDER_ID_BEAT)) intent_id_q <= data;
            if (beat_q == 4'(penstock_pkg::EXECUTION_REPORT_KIND_BEAT)) begin
                fill_q   <= data[penstock_pkg::EXECUTION_REPORT_KIND_LSB +: 8] == penstock_pkg::REPORT_KIND_FILL;
                ending_q <= data[penstock_pkg::EXECUTION_REPORT_KIND_LSB +: 8] == penstock_pkg::REPORT_KIND_CANCELLED
                         || data[penstock_pkg::EXECUTION_REPORT_KIND_LSB +: 8] == penstock_pkg::REPORT_KIND_EXPIRED
                         || data[penstock_pkg::EXECUTION_REPORT_KIND_LSB +: 8] == penstock_pkg::REPORT_KIND_REJECTED;
                malformed_q   <= |data[penstock_pkg::EXECUTION_REPORT_SIDE_LSB + 2 +: 6];
                side_q        <= data[penstock_pkg::EXECUTION_REPORT_SIDE_LSB +: 2];
                price_ticks_q <= '0;
            end
            if (beat_q == 4'(penstock_pkg::EXECUTION_REPORT_LAST_LOTS_BEAT)
                || beat_q == 4'(penstock_pkg::EXECUTION_REPORT_LEAVES_LOTS_BEAT) && !fill_q) begin
                fits_q <= lots_fit;
                lots_q <= lots;
            end
        end
        if (quote) begin
            if (beat_q == 4'(penstock_pkg::QUOTE_BID_TICKS_BEAT)) begin
                bid_q         <= price_there;
                fits_q        <= price_fits || !price_there;
                price_ticks_q <= data[PRICE_W-1:0];
            end
            if (beat_q == 4'(penstock_pkg::QUOTE_ASK_TICKS_BEAT)) begin
                ask_q       <= price_there;
                if (!price_fits && price_there) fits_q <= 1'b0;
                ask_ticks_q <= data[PRICE_W-1:0];
            end
        end
        sized_q <= quote && beat_q == 4'(penstock_pkg::QUOTE_ASK_TICKS_BEAT);
        if (sized_q) price_ticks_q <= PRICE_W'(both >>> 1);
        if (record_end) cause_seq_q <= cause_seq_q + 1'b1;

        cut_q    <= cut;
        judged_q <= whole_q;
        broken_q <= broken;

        if (refused) begin
            sts_refused_reason <= cut_q ? REASON_TRUNCATED : reason_q != REASON_NONE ? reason_q : REASON_BROKEN;
            if (!(&sts_refused_count)) sts_refused_count <= sts_refused_count + 1'b1;
        end
        if (pass && !(&sts_frame_count)) sts_frame_count <= sts_frame_count + 1'b1;
        if (m_ref_tvalid && !(&sts_reference_count)) sts_reference_count <= sts_reference_count + 1'b1;
        if (misfit && !(&sts_misfit_count)) sts_misfit_count <= sts_misfit_count + 1'b1;

        if (rst) begin
            state_q <= IN_HEADER;
            beat_q  <= 4'd0;
            whole_q <= 1'b0;
            wr_q     <= '0;
            commit_q <= '0;
            rd_q     <= '0;
            ref_q    <= 1'b0;
            s_axis_tready <= 1'b0;
            lookup_tvalid <= 1'b0;
            last_seq_q <= -64'sd1;
            cut_q    <= 1'b0;
            judged_q <= 1'b0;
            broken_q <= 1'b0;
            sts_frame_count     <= '0;
            sts_refused_count   <= '0;
            sts_refused_reason  <= REASON_NONE;
            sts_reference_count <= '0;
            sts_misfit_count    <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(65), .ASSUME(1)) s_axis_i (
        .clk, .rst, .tvalid(s_axis_tvalid), .tready(s_axis_tready), .payload({s_axis_tlast, s_axis_tdata})
    );
    // Room for a note, once there, stays until one is given.
    axis_rules #(.WIDTH(1), .ASSUME(1)) room_i (
        .clk, .rst, .tvalid(m_note_tready), .tready(m_note_tvalid), .payload(1'b0)
    );
    axis_rules #(.WIDTH(5 + SLOT_W + PRICE_W + QTY_W + 128)) m_order_i (
        .clk, .rst, .tvalid(m_order_tvalid), .tready(m_order_tready),
        .payload({m_order_kind, m_order_slot, m_order_side, m_order_price_ticks, m_order_lots, m_order_fits,
                  m_order_at_ns, m_order_intent_id})
    );
    counter_rules #(.WIDTH(COUNT_W)) frames_i (.clk, .rst, .count(sts_frame_count));
    counter_rules #(.WIDTH(COUNT_W)) refused_i (.clk, .rst, .count(sts_refused_count));
    counter_rules #(.WIDTH(COUNT_W)) references_i (.clk, .rst, .count(sts_reference_count));
    counter_rules #(.WIDTH(COUNT_W)) misfits_i (.clk, .rst, .count(sts_misfit_count));

    // A second, plain reading of the frames: where a beat stands, and at tlast whether the whole frame is right.
    logic [5:0]  f_at_q;  // beats of this frame so far, 63: that many or more
    logic [31:0] f_bytes_q, f_count_q;
    logic signed [63:0] f_seq_q, f_last_q;  // of this frame; of the last record that took effect
    logic [15:0] f_schema_q, f_stride_q;
    logic [7:0]  f_version_q;
    wire logic [15:0] f_size =
        f_schema_q == penstock_pkg::ORDER_INTENT_ID     ? penstock_pkg::ORDER_INTENT_BYTES :
        f_schema_q == penstock_pkg::EXECUTION_REPORT_ID ? penstock_pkg::EXECUTION_REPORT_BYTES :
        f_schema_q == penstock_pkg::QUOTE_ID            ? penstock_pkg::QUOTE_BYTES : 16'd0;
    wire logic [7:0] f_version =
        f_schema_q == penstock_pkg::ORDER_INTENT_ID     ? penstock_pkg::ORDER_INTENT_VERSION :
        f_schema_q == penstock_pkg::EXECUTION_REPORT_ID ? penstock_pkg::EXECUTION_REPORT_VERSION :
                                                          penstock_pkg::QUOTE_VERSION;
    wire logic f_last  = s_axis_tvalid && s_axis_tready && s_axis_tlast;
    wire logic f_right = f_last && f_size != 0 && f_version_q == f_version && f_stride_q == f_size
                      && f_count_q >= 1 && f_count_q <= 32'(RECORDS_MAX) && f_bytes_q == 32'(f_count_q[3:0]) * 32'(f_size)
                      && 32'(f_at_q) + 1 == 6 + f_bytes_q / 8 && f_seq_q > f_last_q;

    // Each record of a right frame is owed from its tlast until it leaves; of a frame of intents, all of them.
    wire logic [PTR_W-1:0] f_moved = wr_next - commit_q;
    logic [PTR_W-1:0]   f_owed_q;
    logic [COUNT_W-1:0] f_frames_q;
    logic               f_ref_q, f_up_q;
    always_ff @(posedge clk) begin
        if (take) begin
            f_at_q <= s_axis_tlast ? 6'd0 : f_at_q == 6'd63 ? 6'd63 : f_at_q + 6'd1;
            if (f_at_q == 6'd0) {f_version_q, f_schema_q, f_bytes_q} <= data[55:0];
            if (f_at_q == 6'(penstock_pkg::FRAME_SEQ_BEAT)) f_seq_q <= $signed(data);
            if (f_at_q == 6'd5) {f_stride_q, f_count_q} <= data[47:0];
        end
        if (f_right) f_last_q <= f_seq_q + 64'(f_count_q) - 64'sd1;
        f_owed_q <= f_owed_q - PTR_W'(leave)
                  + (!f_right ? '0 : f_schema_q == penstock_pkg::ORDER_INTENT_ID ? f_count_q[PTR_W-1:0] : f_moved);
        f_ref_q    <= m_ref_tvalid;
        f_up_q     <= f_right && !(&sts_frame_count);
        f_frames_q <= sts_frame_count;
        if (rst) {f_at_q, f_ref_q, f_up_q, f_owed_q, f_frames_q} <= '0;
        if (rst) f_last_q <= -64'sd1;
    end

    always_comb if (ran_q && !rst) begin
        whole:   assert (pass == f_right);
        few:     assert (!f_right || 32'(f_moved) <= f_count_q);
        owed:    assert (!(m_order_tvalid || m_ref_tvalid) || f_owed_q != 0);
        exact:   assert (f_owed_q == PTR_W'(commit_q - rd_q));
        counted: assert (sts_frame_count == f_frames_q + COUNT_W'(f_up_q));
        apart:   assert (!f_ref_q || !m_ref_tvalid);
        alone:   assert (!m_ref_tvalid || !m_order_tvalid);
    end

    // What has to be known of a state for the laws above to follow from it.
    wire logic f_good = f_size != 0 && f_version_q == f_version && f_stride_q == f_size && f_count_q >= 1
                     && f_count_q <= 32'(RECORDS_MAX) && f_bytes_q == 32'(f_count_q[3:0]) * 32'(f_size)
                     && f_seq_q > f_last_q;
    wire logic [PTR_W-1:0] f_done = f_count_q[PTR_W-1:0] - left_q;  // records that have come
    always_comb if (ran_q && !rst) begin
        ring:  assert (PTR_W'(commit_q - rd_q) <= used && 32'(used) <= DEPTH && (!s_axis_tready || 32'(used) < DEPTH));
        refs:  assert (f_ref_q == ref_q);
        state: assert (state_q <= IN_WASTE && beat_q < 4'd11);
        if (state_q == IN_HEADER) begin
            at_header: assert (6'(beat_q) == f_at_q && beat_q < 4'd6 && wr_q == commit_q && !whole_q);
        end else begin
            past_header: assert (f_at_q >= 6'd6 && count_q == f_count_q && stride_q == f_stride_q);
        end
        latest: assert (last_seq_q == f_last_q);
        if (f_at_q > 6'd1 && state_q != IN_WASTE)
            at_seq: assert (cause_seq_q == f_seq_q + (state_q == IN_HEADER || whole_q || judged_q ? 64'd0 : 64'(f_done)));
        if (f_at_q > 6'd2 && (state_q == IN_HEADER || whole_q)) lateness: assert (late_q == (f_seq_q <= f_last_q));
        if (f_at_q != 0) begin
            first_beat: assert (body_bytes_q == f_bytes_q && (schema_q == OTHER) == (f_size == 0)
                                && version_ok_q == (f_version_q == f_version || f_size == 0 && version_ok_q));
            kinds: assert ((schema_q == INTENT) == (f_schema_q == penstock_pkg::ORDER_INTENT_ID)
                           && (schema_q == REPORT) == (f_schema_q == penstock_pkg::EXECUTION_REPORT_ID)
                           && (schema_q == QUOTE) == (f_schema_q == penstock_pkg::QUOTE_ID));
        end
        if (state_q == IN_RECORDS && (whole_q || judged_q)) begin
            fresh: assert (f_at_q == 6'd6 + 6'(beat_q) && beat_q <= 4'(judged_q) && left_q == count_q[PTR_W-1:0]
                           && wr_q == commit_q && !(whole_q && judged_q));
        end
        if (state_q == IN_RECORDS && judged_q) judged: assert ((reason_q == REASON_NONE) == f_good);
        if (state_q == IN_RECORDS && !whole_q && !judged_q) begin
            fair:   assert (f_good && reason_q == REASON_NONE && left_q >= 1 && 32'(left_q) <= f_count_q);
            place:  assert (beat_q <= beat_last && 32'(f_at_q) == 6 + 32'(f_done) * 32'(f_size) / 8 + 32'(beat_q));
            behind: assert (schema_q == INTENT ? PTR_W'(wr_q - commit_q) == f_done : PTR_W'(wr_q - commit_q) <= f_done);
        end
        if (state_q == IN_WASTE) begin
            waste: assert (wr_q == commit_q && (!f_good || 32'(f_at_q) >= 6 + f_bytes_q / 8));
        end
    end
`endif
endmodule
`default_nettype wire
