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
    input  wire logic                      take,    // a beat moves …
    input  wire logic                      first,   // … the first of a frame …
    input  wire logic                      itch,    // … of the other format
    input  wire logic [5:1]                header,  // … or a later one of the header …
    input  wire logic [4:0]                beat,    // … or one of a record: which
    input  wire logic [63:0]               tdata,
    input  wire logic                      accepted,  // one clock after the frame's last beat: it stands

    output wire logic [29:0]               left_d,     // with the first beat: beats that follow it
    output wire logic                      other,      // the records are none of ours
    output wire logic                      malformed,  // version, stride, count or length is not theirs
    output wire logic                      too_many,      // more records than RECORDS_MAX
    output      logic                      fair,       // none of these, and seq is above the latest one of an accepted frame
    output wire logic [31:0]               listing_d,  // with a record's first beat
    output      logic                      range,      // two clocks after a record's fifth beat, as all that follows
    output      logic [3:0]                kind,
    output      logic [1:0]                side,
    output      logic                      has_price,
    output      logic signed [PRICE_W-1:0] price_ticks,
    output      logic [BOOK_QTY_W-1:0]     lots,
    output      logic                      has_ask,
    output      logic signed [PRICE_W-1:0] ask_ticks,
    output      logic [BOOK_QTY_W-1:0]     ask_lots,
    output      logic [63:0]               order_ref,
    output      logic [63:0]               at_ns
);
    localparam int COUNT_W = $clog2(RECORDS_MAX + 1);

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
    logic [31:0] body_bytes_q, count_q;
    logic [15:0] stride_q;
    logic        quote_q, order_q, level_q, version_q, newer_q;
    logic signed [63:0] seq_q, seq_last_q;

    wire logic [15:0] schema_d  = tdata[penstock_pkg::FRAME_SCHEMA_ID_LSB +: 16];
    wire logic [7:0]  version_d = tdata[penstock_pkg::FRAME_VERSION_LSB +: 8];
    wire logic [31:0] body_d    = tdata[penstock_pkg::FRAME_BODY_BYTES_LSB +: 32];
    wire logic quote_d = schema_d == penstock_pkg::QUOTE_ID;
    wire logic order_d = schema_d == penstock_pkg::BOOK_ORDER_DELTA_ID;
    wire logic level_d = schema_d == penstock_pkg::BOOK_PRICE_DELTA_ID;

    // (48 + body_bytes) rounded up to beats, without the first.
    assign left_d = {1'b0, body_d[31:3]} + (body_d[2:0] == 0 ? 30'd5 : 30'd6);

    wire logic [COUNT_W-1:0] count = count_q[COUNT_W-1:0];
    assign other     = !(quote_q || order_q || level_q);
    assign too_many     = count_q > RECORDS_MAX;
    assign malformed = !version_q || stride_q != penstock_pkg::QUOTE_BYTES || count_q == 0
        || (!too_many && body_bytes_q != 32'(count) * 32'd56);

    always_ff @(posedge clk) begin
        if (take && first) begin
            body_bytes_q <= body_d;
            quote_q   <= !itch && quote_d;
            order_q   <= !itch && order_d;
            level_q   <= !itch && level_d;
            version_q <= version_d == (quote_d ? penstock_pkg::QUOTE_VERSION :
                order_d ? penstock_pkg::BOOK_ORDER_DELTA_VERSION : penstock_pkg::BOOK_PRICE_DELTA_VERSION);
        end
        if (take && header[penstock_pkg::FRAME_SEQ_BEAT]) seq_q <= tdata;
        if (take && header[penstock_pkg::FRAME_AT_NS_BEAT]) at_ns <= tdata;
        if (take && header[penstock_pkg::FRAME_COUNT_BEAT]) begin
            count_q  <= tdata[penstock_pkg::FRAME_COUNT_LSB +: 32];
            stride_q <= tdata[penstock_pkg::FRAME_STRIDE_LSB +: 16];
        end
        newer_q <= seq_q > seq_last_q;
        fair    <= !other && !malformed && !too_many && newer_q;
        if (accepted) seq_last_q <= seq_q;
        if (rst) seq_last_q <= penstock_pkg::ABSENT;  // below every seq that a frame can have
    end

    // ---- a record: what its beats say, and whether it fits
    wire logic signed [PRICE_W-1:0] ticks_d = tdata[PRICE_W-1:0];
    wire logic [BOOK_QTY_W-1:0]     lots_d  = tdata[BOOK_QTY_W-1:0];
    wire logic ticks_fit_d = tdata[63:PRICE_W-1] == '0 || tdata[63:PRICE_W-1] == '1;
    wire logic lots_fit_d  = tdata[63:BOOK_QTY_W] == '0;
    wire logic is_absent_d = tdata == penstock_pkg::ABSENT;
    wire logic is_none_d   = tdata == 64'd0;

    logic [7:0]  byte4_q, byte5_q;  // tradability; or side and action
    logic [63:0] word1_q;           // a price, or the order's reference
    logic [PRICE_W-1:0]    ticks2_q, ticks3_q;
    logic [BOOK_QTY_W-1:0] lots2_q, lots3_q, lots4_q;
    logic ticks1_fit_q, ticks2_fit_q, ticks3_fit_q, lots2_fit_q, lots3_fit_q, lots4_fit_q;
    logic bid_q, ask_q;  // the side has a price; then: and lots

    assign listing_d = tdata[31:0];

    always_ff @(posedge clk) begin
        if (take && beat[0]) begin
            byte4_q <= tdata[39:32];
            byte5_q <= tdata[47:40];
        end
        if (take && beat[1]) begin
            word1_q      <= tdata;
            ticks1_fit_q <= ticks_fit_d;
            bid_q        <= !is_absent_d;
        end
        if (take && beat[2]) begin
            ticks2_q     <= ticks_d;
            ticks2_fit_q <= ticks_fit_d;
            lots2_q      <= lots_d;
            lots2_fit_q  <= lots_fit_d;
            bid_q        <= bid_q && !is_none_d;
        end
        if (take && beat[3]) begin
            ticks3_q     <= ticks_d;
            ticks3_fit_q <= ticks_fit_d;
            lots3_q      <= lots_d;
            lots3_fit_q  <= lots_fit_d;
            ask_q        <= !is_absent_d;
        end
        if (take && beat[4]) begin
            lots4_q     <= lots_d;
            lots4_fit_q <= lots_fit_d;
            ask_q       <= ask_q && !is_none_d;
        end
    end

    // ---- the update, one clock after its last word
    wire logic tradable  = byte4_q == penstock_pkg::TRADABILITY_TRADABLE;
    wire logic sided     = byte4_q == penstock_pkg::SIDE_BUY || byte4_q == penstock_pkg::SIDE_SELL;
    wire logic sets      = byte5_q == penstock_pkg::BOOK_ACTION_SET;
    wire logic deletes   = byte5_q == penstock_pkg::BOOK_ACTION_DELETE;
    wire logic clears    = byte5_q == penstock_pkg::BOOK_ACTION_CLEAR;

    wire logic bid_fits  = !bid_q || (ticks1_fit_q && lots2_fit_q);
    wire logic ask_fits  = !ask_q || (ticks3_fit_q && lots4_fit_q);
    wire logic quote     = quote_q && tradable && bid_fits && ask_fits;
    wire logic level     = level_q && sided && ticks1_fit_q && (deletes || (sets && lots2_fit_q));
    wire logic order_set = order_q && sided && sets && ticks2_fit_q && lots3_fit_q;
    wire logic order_del = order_q && deletes;
    wire logic clear     = (level_q || order_q) && clears;
    wire logic poison    = !(other || quote || level || order_set || order_del || clear);

    wire logic priced_1 = level || (quote && bid_q);

    always_ff @(posedge clk) begin
        kind <= quote ? tick_pkg::UPDATE_QUOTE : level ? tick_pkg::UPDATE_LEVEL : order_set ? tick_pkg::UPDATE_SET
            : order_del ? tick_pkg::UPDATE_DELETE : clear ? tick_pkg::UPDATE_CLEAR
            : poison ? tick_pkg::UPDATE_POISON : 4'd0;
        range     <= poison && !(quote_q && !tradable);
        side      <= level || order_set ? byte4_q[1:0] : 2'd0;
        has_price <= priced_1 || order_set;
        price_ticks <= order_set ? ticks2_q : priced_1 ? word1_q[PRICE_W-1:0] : '0;
        lots        <= order_set ? lots3_q : (level && sets) || (quote && bid_q) ? lots2_q : '0;
        has_ask     <= quote && ask_q;
        ask_ticks   <= quote && ask_q ? ticks3_q : '0;
        ask_lots    <= quote && ask_q ? lots4_q : '0;
        order_ref   <= order_set || order_del ? word1_q : 64'd0;
    end
endmodule
`default_nettype wire
