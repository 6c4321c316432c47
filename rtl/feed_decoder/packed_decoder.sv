// SPDX-License-Identifier: Apache-2.0
// A frame of the SDK's packed records to the fields of one update per record: Quote, BookOrderDelta, BookPriceDelta. All
// three are 7 beats long and say all that is needed in the first 5, so that the fields stand in registers with the last.
//
//   Quote           QUOTE; a side is there if its price is not ABSENT and its lots are not 0. Not TRADABLE: POISON
//   BookPriceDelta  SET: LEVEL   DELETE: LEVEL of 0 lots   CLEAR: CLEAR
//   BookOrderDelta  SET: SET     DELETE: DELETE            CLEAR: CLEAR
// Another action, a side that is neither (where the update has one), a price or lots beyond PRICE_W or BOOK_QTY_W, lots
// below 0: POISON, and range.
// The header's verdict (other, malformed, too_many, late) stands from the clock after its last beat, fair from one later.
`default_nettype none
module packed_decoder #(
    parameter int PRICE_W     = 32,
    parameter int BOOK_QTY_W  = 32,
    parameter int RECORDS_MAX = 16  // records that a frame may have
) (
    input  wire logic                      clk,
    input  wire logic                      rst,     // synchronous, active high
    input  wire logic                      first,   // the beat offered now or next is a frame's first …
    input  wire logic [5:1]                header,  // … or a later one of the header …
    input  wire logic [5:1]                beat,    // … or one of a record: which
    input  wire logic [63:0]               tdata,
    input  wire logic [63:0]               prev,    // the beat taken before: most is read from here, tdata has much to do
    input  wire logic                      accepted,  // one clock after the frame's last beat: it stands

    output wire logic [29:0]               left_d,     // with the second beat: beats that follow it
    output wire logic                      other,      // the records are none of ours
    output wire logic                      malformed,  // version, stride, count or length is not theirs
    output wire logic                      too_many,      // more records than RECORDS_MAX
    output      logic                      fair,       // none of these, and seq is above the latest one of an accepted frame
    output wire logic [31:0]               listing_d,  // with a record's first beat
    output      logic                      range,      // two clocks after a record's fifth beat, as all that follows
    output      logic [3:0]                kind,
    output      logic [1:0]                side,
    output wire logic                      has_price,
    output wire logic signed [PRICE_W-1:0] price_ticks,
    output wire logic [BOOK_QTY_W-1:0]     lots,
    output      logic                      has_ask,
    output wire logic signed [PRICE_W-1:0] ask_ticks,
    output wire logic [BOOK_QTY_W-1:0]     ask_lots,
    output wire logic [63:0]               order_ref,
    output      logic [63:0]               at_ns
);
    localparam int RECORDS_W = $clog2(RECORDS_MAX + 1);

    initial begin
        if (RECORDS_MAX < 1 || 32'(RECORDS_MAX) > penstock_pkg::FRAME_RECORDS_MAX)
            $fatal(1, "%m: RECORDS_MAX=%0d, wanted 1 to %0d", RECORDS_MAX, penstock_pkg::FRAME_RECORDS_MAX);
        if (PRICE_W < 2 || PRICE_W > 63) $fatal(1, "%m: PRICE_W=%0d, wanted 2 to 63", PRICE_W);
        if (BOOK_QTY_W < 1 || BOOK_QTY_W > 63) $fatal(1, "%m: BOOK_QTY_W=%0d, wanted 1 to 63", BOOK_QTY_W);
        // The fields are taken from the places where these records have them.
        if (penstock_pkg::QUOTE_BEATS != 7 || penstock_pkg::BOOK_ORDER_DELTA_BEATS != 7
            || penstock_pkg::BOOK_PRICE_DELTA_BEATS != 7 || penstock_pkg::QUOTE_ASK_LOTS_BEAT != 4
            || penstock_pkg::BOOK_ORDER_DELTA_QTY_LOTS_BEAT != 3 || penstock_pkg::BOOK_PRICE_DELTA_QTY_LOTS_BEAT != 2
            || penstock_pkg::FRAME_HEADER_BEATS != 6)
            $fatal(1, "%m: the records lie otherwise than this module reads them");
    end

    // ---- header
    logic [31:0] body_bytes_q, count_q, wanted_bytes_q;
    logic [15:0] stride_q;
    logic        quote_q, order_q, level_q, version_q, newer_q;
    logic signed [63:0] seq_q, seq_last_q;

    wire logic [15:0] schema_d  = prev[penstock_pkg::FRAME_SCHEMA_ID_LSB +: 16];
    wire logic [7:0]  version_d = prev[penstock_pkg::FRAME_VERSION_LSB +: 8];
    wire logic [31:0] body_d    = prev[penstock_pkg::FRAME_BODY_BYTES_LSB +: 32];
    wire logic quote_d = schema_d == penstock_pkg::QUOTE_ID;
    wire logic order_d = schema_d == penstock_pkg::BOOK_ORDER_DELTA_ID;
    wire logic level_d = schema_d == penstock_pkg::BOOK_PRICE_DELTA_ID;

    // (48 + body_bytes) rounded up to beats, without the first two.
    assign left_d = {1'b0, body_d[31:3]} + (body_d[2:0] == 0 ? 30'd4 : 30'd5);

    assign other     = !(quote_q || order_q || level_q);
    assign too_many  = count_q > RECORDS_MAX;
    // wanted_bytes_q comes a clock after count_q: too late for a frame that ends with its header, whose body is empty.
    assign malformed = !version_q || stride_q != penstock_pkg::QUOTE_BYTES || count_q == 0 || body_bytes_q == 0
        || (!too_many && body_bytes_q != wanted_bytes_q);

    always_ff @(posedge clk) begin
        if (first) begin  // in the other format they stay so
            quote_q <= 1'b0;
            order_q <= 1'b0;
            level_q <= 1'b0;
        end
        if (header[1]) begin
            body_bytes_q <= body_d;
            quote_q   <= quote_d;
            order_q   <= order_d;
            level_q   <= level_d;
            version_q <= version_d == (quote_d ? penstock_pkg::QUOTE_VERSION :
                order_d ? penstock_pkg::BOOK_ORDER_DELTA_VERSION : penstock_pkg::BOOK_PRICE_DELTA_VERSION);
        end
        if (header[penstock_pkg::FRAME_SEQ_BEAT + 1]) seq_q <= prev;
        if (header[penstock_pkg::FRAME_AT_NS_BEAT + 1]) at_ns <= prev;
        if (header[penstock_pkg::FRAME_COUNT_BEAT]) begin
            count_q  <= tdata[penstock_pkg::FRAME_COUNT_LSB +: 32];
            stride_q <= tdata[penstock_pkg::FRAME_STRIDE_LSB +: 16];
        end
        wanted_bytes_q <= 32'(count_q[RECORDS_W-1:0]) * 32'd56;
        newer_q <= seq_q > seq_last_q;
        fair    <= !other && !malformed && !too_many && newer_q;
        if (accepted) seq_last_q <= seq_q;
        if (rst) seq_last_q <= penstock_pkg::ABSENT;  // below every seq that a frame can have
    end

    // ---- a record: what its beats say, and whether it fits
    wire logic signed [PRICE_W-1:0] ticks_d = prev[PRICE_W-1:0];
    wire logic [BOOK_QTY_W-1:0]     lots_d  = prev[BOOK_QTY_W-1:0];
    wire logic ticks_fit_d = prev[63:PRICE_W-1] == '0 || prev[63:PRICE_W-1] == '1;
    wire logic lots_fit_d  = prev[63:BOOK_QTY_W] == '0;
    wire logic is_absent_d = prev == penstock_pkg::ABSENT;

    logic [1:0]  side_q;
    logic [63:0] word1_q;  // a price, or the order's reference
    logic [PRICE_W-1:0]    ticks2_q, ticks3_q;
    logic [BOOK_QTY_W-1:0] lots2_q, lots3_q, lots4_q;
    logic ticks1_fit_q, ticks2_fit_q, ticks3_fit_q, lots2_fit_q, lots3_fit_q, lots4_fit_q;
    logic tradable_q, sided_q, sets_q, deletes_q, clears_q;
    logic has1_q, has2_q, has3_q, has4_q;  // the price is not ABSENT, the lots are not 0

    assign listing_d = tdata[31:0];

    // While the next beat is awaited, the one before it is read again and again; its place moves on with that beat.
    always_ff @(posedge clk) begin
        if (beat[1]) begin
            side_q     <= prev[33:32];
            tradable_q <= prev[39:32] == penstock_pkg::TRADABILITY_TRADABLE;
            sided_q    <= prev[39:32] == penstock_pkg::SIDE_BUY || prev[39:32] == penstock_pkg::SIDE_SELL;
            sets_q     <= prev[47:40] == penstock_pkg::BOOK_ACTION_SET;
            deletes_q  <= prev[47:40] == penstock_pkg::BOOK_ACTION_DELETE;
            clears_q   <= prev[47:40] == penstock_pkg::BOOK_ACTION_CLEAR;
        end
        if (beat[2]) begin
            word1_q      <= prev;
            ticks1_fit_q <= ticks_fit_d;
            has1_q       <= !is_absent_d;
        end
        if (beat[3]) begin
            ticks2_q     <= ticks_d;
            ticks2_fit_q <= ticks_fit_d;
            lots2_q      <= lots_d;
            lots2_fit_q  <= lots_fit_d;
            has2_q       <= prev != 64'd0;
        end
        if (beat[4]) begin
            ticks3_q     <= ticks_d;
            ticks3_fit_q <= ticks_fit_d;
            lots3_q      <= lots_d;
            lots3_fit_q  <= lots_fit_d;
            has3_q       <= !is_absent_d;
            // The last word: what it says of the update must be known a clock earlier than what it is.
            lots4_fit_q  <= tdata[63:BOOK_QTY_W] == '0;
            has4_q       <= tdata != 64'd0;
        end
        if (beat[5]) lots4_q <= lots_d;
    end

    // ---- the update: what it is stands one clock after its last word; its fields are taken from the words
    wire logic bid       = has1_q && has2_q;
    wire logic ask       = has3_q && has4_q;
    wire logic bid_fits  = !bid || (ticks1_fit_q && lots2_fit_q);
    wire logic ask_fits  = !ask || (ticks3_fit_q && lots4_fit_q);
    wire logic quote     = quote_q && tradable_q && bid_fits && ask_fits;
    wire logic level     = level_q && sided_q && ticks1_fit_q && (deletes_q || (sets_q && lots2_fit_q));
    wire logic order_set = order_q && sided_q && sets_q && ticks2_fit_q && lots3_fit_q;
    wire logic order_del = order_q && deletes_q;
    wire logic clear     = (level_q || order_q) && clears_q;
    wire logic poison    = !(other || quote || level || order_set || order_del || clear);

    logic price1_q, price2_q, keeps2_q, ref_q;  // the price is word 1 or 2; with word 1, word 2 is lots; word 1 is the order

    always_ff @(posedge clk) begin
        kind <= quote ? tick_pkg::UPDATE_QUOTE : level ? tick_pkg::UPDATE_LEVEL : order_set ? tick_pkg::UPDATE_SET
            : order_del ? tick_pkg::UPDATE_DELETE : clear ? tick_pkg::UPDATE_CLEAR
            : poison ? tick_pkg::UPDATE_POISON : 4'd0;
        range    <= poison && !(quote_q && !tradable_q);
        side     <= level || order_set ? side_q : 2'd0;
        price1_q <= level || (quote && bid);
        price2_q <= order_set;
        keeps2_q <= (level && sets_q) || (quote && bid);
        has_ask  <= quote && ask;
        ref_q    <= order_set || order_del;
    end

    assign has_price   = price1_q || price2_q;
    assign price_ticks = price2_q ? ticks2_q : price1_q ? word1_q[PRICE_W-1:0] : '0;
    assign lots        = price2_q ? lots3_q : keeps2_q ? lots2_q : '0;
    assign ask_ticks   = has_ask ? ticks3_q : '0;
    assign ask_lots    = has_ask ? lots4_q : '0;
    assign order_ref   = ref_q ? word1_q : 64'd0;
endmodule
`default_nettype wire
