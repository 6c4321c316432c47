// SPDX-License-Identifier: Apache-2.0
// Market data to book updates: frames of the SDK's packed records, or messages of the shape of ITCH 5.0 (a u16 of length
// first), one per frame; the first byte is tdata[7:0], tlast ends a frame. packed_decoder and itch_decoder say what becomes
// of a record, frame_judge for which reasons a frame falls, slot_map how a listing finds its slot.
//
// A frame takes effect whole or not at all: its records wait in a ring until tlast, and the counters of records move for
// accepted frames alone. A record whose listing has no slot gives no update. Fields that an update's kind has not are 0.
// sts_lost tells of each frame that fell, two clocks after its last beat: before any later frame's update. The books then
// miss what it said, and stay known: who trades on them must stop.
// cfg_format_itch is read with a frame's first beat, the map with the beat that holds the listing.
// After reset the map is empty, and the next beat begins a frame; with RESYNC_EN=1 the beats up to the next tlast are passed
// over first, for a stream that is not reset along with this module.
//
// Latency: the first update is offered one clock after the frame's last beat; then one per clock. One beat per clock is
// taken, without gaps between frames, while updates are taken; s_axis_tready falls when the ring is full, and for 2**MAP_W
// clocks after reset. s_axis_tready and m_update_tvalid come from registers.
`default_nettype none
module feed_decoder #(
    parameter int SLOTS       = 256,            // books
    parameter int SLOT_W      = $clog2(SLOTS),  // bits of a slot; not to be set
    parameter int MAP_W       = 10,  // bits of a listing id that choose its row in the map
    parameter int RECORDS_MAX = 16,  // records of one frame
    parameter int PRICE_W     = 32,  // bits of a signed price, 2 to 63
    parameter int BOOK_QTY_W  = 32,  // bits of lots in the book, 1 to 63
    parameter int COUNT_W     = 32,  // bits of the counters, which stop at their largest value
    parameter int TID_W       = 2,   // bits of the stream's number
    parameter bit RESYNC_EN   = 0    // after reset, pass over what comes until tlast
) (
    input  wire logic                      clk,
    input  wire logic                      rst,    // synchronous, active high
    input  wire logic [31:0]               cycle,  // the device's clock count: stamps each frame with its last beat

    input  wire logic                      cfg_format_itch,   // 0: packed records, 1: ITCH messages
    input  wire logic [61:0]               cfg_itch_base_ns,  // midnight of the messages, in ns since 1970 UTC
    input  wire logic                      cfg_map_write,     // one clock: the listing has this slot, or none
    input  wire logic                      cfg_map_read,      // one clock: show the listing's row
    input  wire logic [31:0]               cfg_map_listing,
    input  wire logic [SLOT_W-1:0]         cfg_map_slot,
    input  wire logic                      cfg_map_valid,

    input  wire logic [63:0]               s_axis_tdata,
    input  wire logic                      s_axis_tvalid,
    output wire logic                      s_axis_tready,
    input  wire logic                      s_axis_tlast,
    input  wire logic [TID_W-1:0]          s_axis_tid,

    output wire logic                      m_update_tvalid,
    input  wire logic                      m_update_tready,
    output wire logic [3:0]                m_update_kind,   // tick_pkg::UPDATE_*
    output wire logic [SLOT_W-1:0]         m_update_slot,
    output wire logic [1:0]                m_update_side,   // 1 buy, 2 sell, 0 none
    output wire logic                      m_update_has_price,
    output wire logic signed [PRICE_W-1:0] m_update_price_ticks,  // of a quote the bid
    output wire logic [BOOK_QTY_W-1:0]     m_update_lots,
    output wire logic                      m_update_has_ask,
    output wire logic signed [PRICE_W-1:0] m_update_ask_ticks,
    output wire logic [BOOK_QTY_W-1:0]     m_update_ask_lots,
    output wire logic [63:0]               m_update_order_ref,
    output wire logic [63:0]               m_update_new_ref,
    output wire logic [63:0]               m_update_at_ns,
    output wire logic [31:0]               m_update_stamp,  // cycle at the frame's last beat

    output wire logic                      sts_hold,  // the map cannot be written now
    output wire logic                      sts_lost,  // one clock, two after a frame's last beat: the frame fell
    output wire logic [31:0]               sts_map_stored_listing,
    output wire logic [SLOT_W-1:0]         sts_map_stored_slot,
    output wire logic                      sts_map_stored_valid,
    output wire logic [31:0]               sts_quote_layout,  // the layouts that packed records must have
    output wire logic [31:0]               sts_book_order_layout,
    output wire logic [31:0]               sts_book_price_layout,
    output wire logic [COUNT_W-1:0]        sts_accepted_count,  // frames, each in one of these …
    output wire logic [COUNT_W-1:0]        sts_other_count,
    output wire logic [COUNT_W-1:0]        sts_malformed_count,
    output wire logic [COUNT_W-1:0]        sts_truncated_count,
    output wire logic [COUNT_W-1:0]        sts_oversized_count,
    output wire logic [COUNT_W-1:0]        sts_interleaved_count,
    output wire logic [COUNT_W-1:0]        sts_out_of_order_count,
    output wire logic [COUNT_W-1:0]        sts_updates_count,   // … and records of accepted frames
    output wire logic [COUNT_W-1:0]        sts_unmapped_count,
    output wire logic [COUNT_W-1:0]        sts_range_count
);
    localparam int RECORDS_W = $clog2(RECORDS_MAX + 1);
    // Two cells beyond a whole frame: one takes data, one keeps tready up while the frame leaves.
    localparam int DEPTH  = RECORDS_MAX < 3 ? 4 : 1 << $clog2(RECORDS_MAX + 2);
    localparam int DATA_W = 4 + SLOT_W + 2 + 2 + 2 * PRICE_W + 2 * BOOK_QTY_W + 128;

    initial begin
        if (TID_W < 1) $fatal(1, "%m: TID_W=%0d, wanted 1 or more", TID_W);
        if (COUNT_W < RECORDS_W) $fatal(1, "%m: COUNT_W=%0d, wanted %0d or more, a frame's records", COUNT_W, RECORDS_W);
    end

    assign sts_quote_layout      = penstock_pkg::QUOTE_LAYOUT_HASH;
    assign sts_book_order_layout = penstock_pkg::BOOK_ORDER_DELTA_LAYOUT_HASH;
    assign sts_book_price_layout = penstock_pkg::BOOK_PRICE_DELTA_LAYOUT_HASH;

    // ---- where the next beat belongs: at most one of these bits is set; none while the rest of a frame is passed over
    logic       first_q;
    logic [5:1] header_q;
    logic [6:0] record_q;
    logic [3:1] message_q;  // beats 1 to 3: later ones hold nothing that must be kept
    logic       itch_q;  // the frame's format, from its first beat on
    logic       skip_q;  // what comes until tlast is the rest of a frame that began before reset

    logic             ready_q;
    logic [TID_W-1:0] tid_q;
    logic [63:0]      prev_q;    // the latest beat taken
    logic [29:0]      left_q;    // beats still to come by the frame's length
    logic             at_end_q;  // left_q == 1: the next beat should be the last
    logic             ends_q;    // and that would complete a record: the header's verdict has been heeded
    logic             past_q, interleaved_q;
    logic             good_q;    // nothing is known against the frame

    wire logic room;  // in the ring
    wire logic take     = s_axis_tvalid && ready_q;
    wire logic itch     = first_q ? cfg_format_itch : itch_q;
    wire logic same_tid = first_q || s_axis_tid == tid_q;
    assign s_axis_tready = ready_q;

    // ---- the two formats
    wire logic        itch_known_d, itch_left_none_d, itch_left_one_d, itch_other, itch_malformed, itch_range, itch_has_price;
    wire logic [31:0] itch_listing_d, packed_listing_d;
    wire logic [13:0] itch_left_d;
    wire logic [29:0] packed_left_d;
    wire logic        packed_other, packed_malformed, packed_too_many, packed_fair, packed_range;
    wire logic        packed_has_price, has_ask;
    wire logic [3:0]  itch_kind, packed_kind;
    wire logic [1:0]  itch_side, packed_side;
    wire logic signed [PRICE_W-1:0] itch_price_ticks, packed_price_ticks, ask_ticks;
    wire logic [BOOK_QTY_W-1:0]     itch_lots, packed_lots, ask_lots;
    wire logic [63:0] itch_order_ref, packed_order_ref, new_ref, itch_at_ns, packed_at_ns;

    logic ended_q, accepted_q, exact_q, end_past_q, end_interleaved_q;

    itch_decoder #(.PRICE_W(PRICE_W), .BOOK_QTY_W(BOOK_QTY_W)) itch_i (
        .clk, .first(first_q), .itch(cfg_format_itch), .beat(message_q), .tdata(s_axis_tdata), .prev(prev_q),
        .cfg_base_ns(cfg_itch_base_ns), .known_d(itch_known_d), .other(itch_other), .malformed(itch_malformed),
        .listing_d(itch_listing_d), .left_d(itch_left_d), .left_none_d(itch_left_none_d),
        .left_one_d(itch_left_one_d), .range(itch_range), .kind(itch_kind), .side(itch_side),
        .has_price(itch_has_price), .price_ticks(itch_price_ticks), .lots(itch_lots), .order_ref(itch_order_ref),
        .new_ref, .at_ns(itch_at_ns)
    );
    packed_decoder #(.PRICE_W(PRICE_W), .BOOK_QTY_W(BOOK_QTY_W), .RECORDS_MAX(RECORDS_MAX)) packed_i (
        .clk, .rst, .first(first_q), .header(header_q), .beat(record_q[5:1]), .tdata(s_axis_tdata),
        .prev(prev_q), .accepted(accepted_q && !itch_q), .left_d(packed_left_d),
        .other(packed_other), .malformed(packed_malformed), .too_many(packed_too_many), .fair(packed_fair),
        .listing_d(packed_listing_d), .range(packed_range), .kind(packed_kind), .side(packed_side),
        .has_price(packed_has_price), .price_ticks(packed_price_ticks), .lots(packed_lots), .has_ask, .ask_ticks,
        .ask_lots, .order_ref(packed_order_ref), .at_ns(packed_at_ns)
    );

    // ---- slot
    wire logic              busy, hit;
    wire logic [SLOT_W-1:0] slot;
    slot_map #(.SLOTS(SLOTS), .SLOT_W(SLOT_W), .MAP_W(MAP_W)) map_i (
        .clk, .rst, .cfg_map_write, .cfg_map_read, .cfg_map_listing, .cfg_map_slot, .cfg_map_valid, .sts_map_stored_listing,
        .sts_map_stored_slot, .sts_map_stored_valid, .sts_hold, .busy, .look(first_q || record_q[0]),
        .look_listing(itch ? itch_listing_d : packed_listing_d), .hit, .slot
    );

    // ---- the frame's end
    // A first beat is a whole frame only of an ITCH message of up to 6 bytes, and none of ours is that short.
    wire logic exact    = first_q ? cfg_format_itch && itch_left_none_d : at_end_q;
    wire logic last     = take && s_axis_tlast;
    wire logic accept   = last && ends_q && good_q && same_tid;
    wire logic closed   = take && (itch_q ? ends_q : record_q[6]);  // a record is complete
    wire logic step     = closed && hit;

    always_ff @(posedge clk) begin
        ready_q <= room && !busy;
        // These take up whatever stands on the stream before a frame, and at last its first beat.
        if (first_q) begin
            itch_q <= cfg_format_itch;
            tid_q  <= s_axis_tid;
            left_q <= 30'(itch_left_d);
        end else if (header_q[1]) left_q <= packed_left_d;  // the first two beats are never a whole frame
        else if (take && left_q != 0) left_q <= left_q - 1'b1;
        if (take) prev_q <= s_axis_tdata;
        if (take) begin
            first_q   <= s_axis_tlast;
            header_q  <= s_axis_tlast ? '0 : {header_q[4:1], first_q && !cfg_format_itch};
            record_q  <= s_axis_tlast ? '0 : {record_q[5:0], record_q[6] || header_q[5]};
            message_q <= s_axis_tlast ? '0 : {message_q[2:1], first_q && cfg_format_itch};
            if (s_axis_tlast) skip_q <= 1'b0;

            if (first_q) begin
                ends_q   <= 1'b0;
                at_end_q <= cfg_format_itch && itch_left_one_d && !s_axis_tlast;
                good_q   <= !cfg_format_itch || itch_known_d;
            end else begin
                at_end_q <= left_q == 2 && !header_q[1] && !s_axis_tlast;
                ends_q   <= left_q == 2 && (itch_q || record_q[5]) && !s_axis_tlast;
                if (!same_tid || (at_end_q && !s_axis_tlast)) good_q <= 1'b0;
            end
            past_q        <= !s_axis_tlast && (exact || (past_q && !first_q));
            interleaved_q <= !s_axis_tlast && (!same_tid || (interleaved_q && !first_q));
        end
        // The header's verdict stands from its last beat on, and is heeded before the first record is complete.
        if (record_q[2] && !packed_fair) good_q <= 1'b0;

        ended_q    <= last && !skip_q;
        accepted_q <= accept;
        if (last) begin
            exact_q           <= exact;
            end_past_q        <= past_q;
            end_interleaved_q <= interleaved_q || !same_tid;
        end

        if (rst) begin
            ready_q   <= 1'b0;
            first_q   <= !RESYNC_EN;
            skip_q    <= RESYNC_EN;
            header_q  <= '0;
            record_q  <= '0;
            message_q <= '0;
            at_end_q  <= 1'b0;
            ends_q    <= 1'b0;
            good_q    <= 1'b0;
            past_q    <= 1'b0;
            interleaved_q <= 1'b0;
            ended_q    <= 1'b0;
            accepted_q <= 1'b0;
        end
    end

    // ---- records wait until their frame stands
    wire logic [DATA_W-1:0] m_data;
    update_ring #(.DATA_W(DATA_W), .SHARED_W(96), .DEPTH(DEPTH)) ring_i (
        .clk, .rst, .step, .accept, .drop(!good_q || (last && !accept)),
        .data({
            itch_kind | packed_kind, slot, itch_side | packed_side, itch_has_price || packed_has_price,
            itch_price_ticks | packed_price_ticks, itch_lots | packed_lots, has_ask, ask_ticks, ask_lots,
            itch_order_ref | packed_order_ref, new_ref
        }),
        .shared({itch_q ? itch_at_ns : packed_at_ns, cycle}),
        .room, .m_tvalid(m_update_tvalid), .m_tready(m_update_tready), .m_data,
        .m_shared({m_update_at_ns, m_update_stamp})
    );
    assign {
        m_update_kind, m_update_slot, m_update_side, m_update_has_price, m_update_price_ticks, m_update_lots,
        m_update_has_ask, m_update_ask_ticks, m_update_ask_lots, m_update_order_ref, m_update_new_ref
    } = m_data;

    // ---- counts of the frame's records, then of the frame itself
    logic [RECORDS_W-1:0] updates_q, unmapped_q, ranged_q;
    wire logic range = hit && (itch_range || packed_range);
    always_ff @(posedge clk) begin
        if (first_q) begin
            updates_q  <= '0;
            unmapped_q <= '0;
            ranged_q   <= '0;
        end else if (closed) begin  // of a frame that falls these may be anything
            updates_q  <= updates_q + RECORDS_W'(hit);
            unmapped_q <= unmapped_q + RECORDS_W'(!hit);
            ranged_q   <= ranged_q + RECORDS_W'(range);
        end
    end
    frame_judge #(.COUNT_W(COUNT_W), .RECORDS_W(RECORDS_W)) judge_i (
        .clk, .rst, .ended(ended_q), .accepted(accepted_q), .interleaved(end_interleaved_q), .exact(exact_q),
        .past(end_past_q), .other(itch_q ? itch_other : packed_other),
        .malformed(itch_q ? itch_malformed : packed_malformed), .too_many(!itch_q && packed_too_many), .updates(updates_q),
        .unmapped(unmapped_q), .ranged(ranged_q), .lost(sts_lost), .sts_accepted_count, .sts_other_count,
        .sts_malformed_count, .sts_truncated_count, .sts_oversized_count, .sts_interleaved_count, .sts_out_of_order_count,
        .sts_updates_count, .sts_unmapped_count, .sts_range_count
    );

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(65 + TID_W), .ASSUME(1)) s_axis_i (
        .clk, .rst, .tvalid(s_axis_tvalid), .tready(s_axis_tready), .payload({s_axis_tlast, s_axis_tid, s_axis_tdata})
    );
    counter_rules #(.WIDTH(COUNT_W)) accepted_i (.clk, .rst, .count(sts_accepted_count));
    counter_rules #(.WIDTH(COUNT_W)) other_i (.clk, .rst, .count(sts_other_count));
    counter_rules #(.WIDTH(COUNT_W)) malformed_i (.clk, .rst, .count(sts_malformed_count));
    counter_rules #(.WIDTH(COUNT_W)) truncated_i (.clk, .rst, .count(sts_truncated_count));
    counter_rules #(.WIDTH(COUNT_W)) oversized_i (.clk, .rst, .count(sts_oversized_count));
    counter_rules #(.WIDTH(COUNT_W)) interleaved_i (.clk, .rst, .count(sts_interleaved_count));
    counter_rules #(.WIDTH(COUNT_W)) out_of_order_i (.clk, .rst, .count(sts_out_of_order_count));
    counter_rules #(.WIDTH(COUNT_W), .STEP_MAX((1 << RECORDS_W) - 1)) updates_i (.clk, .rst, .count(sts_updates_count));
    counter_rules #(.WIDTH(COUNT_W), .STEP_MAX((1 << RECORDS_W) - 1)) unmapped_i (.clk, .rst, .count(sts_unmapped_count));
    counter_rules #(.WIDTH(COUNT_W), .STEP_MAX((1 << RECORDS_W) - 1)) range_i (.clk, .rst, .count(sts_range_count));

    // What induction needs: where the next beat belongs.
    wire logic [15:0] place = {first_q, header_q, record_q, message_q};
    always_comb if (ran_q) begin
        one:    assert ((place & (place - 1'b1)) == 0);
        begun:  assert (!first_q || !at_end_q);
        end_is: assert (!at_end_q || (left_q == 1 && !header_q[1]));
        ends:   assert (!ends_q || (at_end_q && (itch_q || record_q[6])));
        packed_place: assert (!itch_q || (header_q == 0 && record_q == 0));
        itch_place:   assert (itch_q || message_q == 0);
        // The ring is full and a beat may still come: it begins a record, or is of a frame that has just fallen.
        late:   assert (!ready_q || room || first_q || record_q[0] || (!good_q && itch_q && !at_end_q));
    end
`ifdef FORMAL_LAWS
    // Each update is of a kind and of a side that there is.
    always_comb if (ran_q && m_update_tvalid) begin
        kinds: assert (m_update_kind >= tick_pkg::UPDATE_QUOTE && m_update_kind <= tick_pkg::UPDATE_POISON);
        sides: assert (m_update_side != 2'd3);
    end

    // No more than one update for every three beats that were taken, and none before a frame has ended.
    logic [7:0] beats_q, updates_left_q;
    logic       frame_q;  // a tlast was taken since reset
    always_ff @(posedge clk) begin
        if (take && !(&beats_q)) beats_q <= beats_q + 1'b1;
        if (m_update_tvalid && m_update_tready && !(&updates_left_q)) updates_left_q <= updates_left_q + 1'b1;
        if (take && s_axis_tlast) frame_q <= 1'b1;
        if (rst) begin
            beats_q        <= '0;
            updates_left_q <= '0;
            frame_q        <= 1'b0;
        end
    end
    always_comb if (ran_q) begin
        if (!(&beats_q)) few: assert (10'(updates_left_q) * 10'd3 <= 10'(beats_q));
        if (m_update_tvalid) ended: assert (frame_q);
    end
`endif
`endif
endmodule
`default_nettype wire
