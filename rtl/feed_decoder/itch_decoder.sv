// SPDX-License-Identifier: Apache-2.0
// A message of the shape of NASDAQ's ITCH 5.0 to the fields of an update, complete in the beat that ends it. Big-endian;
// the first two bytes are the message's length. Bytes of the frame, and so beat and byte in it:
//
//   0 length u16, 2 type, 3 locate u16 (the listing), 5 tracking u16, 7 timestamp u48 (ns since midnight), 13 order u64
//   A add 36      21 side 'B' or 'S', 22 lots u32, 26 name, 34 price i32
//   F add 40      as A, then 38 whose order it is (4 bytes)
//   E executed 31 21 lots u32, 25 match u64
//   C executed 36 as E, then 33 printable (u8), 34 the price it was done at i32: the book needs neither
//   X cancel 23   21 lots u32
//   D delete 19
//   U replace 35  21 new order u64, 29 lots u32, 33 price i32
//
// ITCH's own price is unsigned; energy trades below zero, so it is signed here. An add of neither side and a value beyond
// PRICE_W or BOOK_QTY_W gives UPDATE_POISON (range). Combinational from registers and from the beat that ends the message.
`default_nettype none
module itch_decoder #(
    parameter int PRICE_W    = 32,
    parameter int BOOK_QTY_W = 32
) (
    input  wire logic                      clk,
    input  wire logic                      first,  // the beat offered now or next is a frame's first …
    input  wire logic                      itch,   // … of this format
    input  wire logic [3:1]                beat,   // … or a later one: which
    input  wire logic [63:0]               tdata,
    input  wire logic [63:0]               prev,   // the beat taken before
    input  wire logic [61:0]               cfg_base_ns,  // midnight, in ns since 1970 UTC

    output wire logic                      known_d,    // with the first beat: a type of ours with its own length
    output      logic                      other,      // of the latest first beat: a type that is not ours …
    output      logic                      malformed,  // … or a length that is not the type's
    output wire logic [31:0]               listing_d,  // with the first beat
    output wire logic [13:0]               left_d,     // with the first beat: beats that follow it …
    output wire logic                      left_none_d,  // … that there are none …
    output wire logic                      left_one_d,   // … or one
    output wire logic                      range,      // with the last beat, as all that follows
    output wire logic [3:0]                kind,
    output wire logic [1:0]                side,
    output wire logic                      has_price,
    output wire logic signed [PRICE_W-1:0] price_ticks,
    output wire logic [BOOK_QTY_W-1:0]     lots,
    output wire logic [63:0]               order_ref,
    output wire logic [63:0]               new_ref,
    output wire logic [63:0]               at_ns
);
    // The first byte on top: fields that go on into the next byte are then whole.
    wire logic [63:0] word = {
        tdata[7:0], tdata[15:8], tdata[23:16], tdata[31:24], tdata[39:32], tdata[47:40], tdata[55:48], tdata[63:56]
    };
    wire logic [39:0] prev_word = {prev[7:0], prev[15:8], prev[23:16], prev[31:24], prev[39:32]};  // its first bytes …
    wire logic [23:0] prev_tail = {prev[47:40], prev[55:48], prev[63:56]};  // … and its last
    wire logic [15:0] length = word[63:48];
    wire logic [7:0]  letter = word[47:40];

    wire logic is_named   = letter == "F";
    wire logic is_add     = letter == "A" || is_named;
    wire logic is_priced  = letter == "C";
    wire logic is_exec    = letter == "E" || is_priced;
    wire logic is_cancel  = letter == "X";
    wire logic is_delete  = letter == "D";
    wire logic is_replace = letter == "U";
    wire logic is_ours = is_add || is_exec || is_cancel || is_delete || is_replace;
    assign known_d = (letter == "A" && length == 16'd36) || (is_named && length == 16'd40)
        || (letter == "E" && length == 16'd31) || (is_priced && length == 16'd36) || (is_cancel && length == 16'd23)
        || (is_delete && length == 16'd19) || (is_replace && length == 16'd35);
    assign listing_d = {16'd0, word[39:24]};
    // (2 + length) rounded up to beats, without the first: (length + 1) / 8.
    assign left_d      = {1'b0, length[15:3]} + 14'(length[2:0] == 3'd7);
    assign left_none_d = length[15:3] == 0 && length[2:0] != 3'd7;
    assign left_one_d  = length[15:4] == 0 && length[3] == (length[2:0] != 3'd7);

    logic        add_q, named_q, exec_q, cancel_q, delete_q, replace_q;
    logic [7:0]  ns_high_q;
    // Midnight and timestamp are added in three parts at once, the upper ones with and without a carry into them.
    logic [20:0] low_q, mid_q, mid_1_q;
    logic [23:0] high_q, high_1_q;
    logic [63:0] ref_q;
    logic [23:0] new_ref_q;
    logic [31:0] lots_q;
    logic        buy_q, sell_q;
    logic        ours_q;  // a message of ours, and no add of neither side

    // A beat's place moves on with the beat: what was taken up while none was offered is overwritten by the beat itself.
    always_ff @(posedge clk) begin
        high_q   <= {2'd0, cfg_base_ns[61:40]} + {16'd0, ns_high_q};
        high_1_q <= {2'd0, cfg_base_ns[61:40]} + {16'd0, ns_high_q} + 24'd1;
        ours_q   <= (add_q && (buy_q || sell_q)) || exec_q || cancel_q || delete_q || replace_q;
        if (first) begin
            add_q     <= itch && is_add;
            named_q   <= itch && is_named;
            exec_q    <= itch && is_exec;
            cancel_q  <= itch && is_cancel;
            delete_q  <= itch && is_delete;
            replace_q <= itch && is_replace;
            other     <= itch && !is_ours && length != 0;
            malformed <= itch && !known_d && (is_ours || length == 0);
            ns_high_q <= word[7:0];
        end
        if (beat[1]) begin
            low_q   <= {1'b0, cfg_base_ns[19:0]} + {1'b0, word[43:24]};
            mid_q   <= {1'b0, cfg_base_ns[39:20]} + {1'b0, word[63:44]};
            mid_1_q <= {1'b0, cfg_base_ns[39:20]} + {1'b0, word[63:44]} + 21'd1;
            ref_q[63:40] <= word[23:0];
        end
        if (beat[2]) begin
            ref_q[39:0]      <= word[63:24];
            buy_q            <= word[23:16] == "B";
            sell_q           <= word[23:16] == "S";
            lots_q           <= add_q ? {word[15:0], 16'd0} : {word[23:0], 8'd0};
        end
        if (beat[3]) begin
            new_ref_q <= prev_tail;
            if (add_q) lots_q[15:0] <= word[63:48];
            if (exec_q) lots_q[7:0] <= word[63:56];
            if (replace_q) lots_q[31:8] <= word[23:0];
        end
    end

    wire logic [20:0] mid = low_q[20] ? mid_1_q : mid_q;
    assign at_ns = {mid[20] ? high_1_q : high_q, mid[19:0], low_q[19:0]};

    // Some fields end in the message's last beat: the order of D, the lots of X and U, the price of A and U. F has one more.
    wire logic [31:0] price_raw = named_q ? {prev_word[23:0], prev_tail[23:16]} : add_q ? word[47:16] : word[55:24];
    wire logic [31:0] lots_raw  = {lots_q[31:8], cancel_q || replace_q ? word[63:56] : lots_q[7:0]};
    wire logic signed [63:0] price_wide = {{32{price_raw[31]}}, price_raw};
    wire logic [63:0]        lots_wide  = {32'd0, lots_raw};
    wire logic price_fits = price_wide[63:PRICE_W-1] == '0 || price_wide[63:PRICE_W-1] == '1;
    wire logic lots_fit   = lots_wide[63:BOOK_QTY_W] == '0;

    wire logic any_q   = add_q || exec_q || cancel_q || delete_q || replace_q;

    // ours_q stands a clock after the side, which is two beats or more before an add's end.
    wire logic fits    = lots_fit || delete_q;
    wire logic ours    = ours_q && fits && (price_fits || !(add_q || replace_q));
    wire logic replace = replace_q && ours;

    assign range = any_q && !ours;
    assign kind = !ours ? (any_q ? tick_pkg::UPDATE_POISON : 4'd0) : add_q ? tick_pkg::UPDATE_ADD
        : delete_q ? tick_pkg::UPDATE_DELETE : replace_q ? tick_pkg::UPDATE_REPLACE : tick_pkg::UPDATE_REDUCE;
    assign side        = add_q && ours ? {sell_q, buy_q} : 2'd0;
    assign has_price   = (add_q || replace_q) && ours;
    assign price_ticks = has_price ? price_wide[PRICE_W-1:0] : '0;
    assign lots        = ours && !delete_q ? lots_wide[BOOK_QTY_W-1:0] : '0;
    assign order_ref   = ours ? {ref_q[63:40], delete_q ? word[63:24] : ref_q[39:0]} : 64'd0;
    assign new_ref = replace ? {new_ref_q, prev_word} : 64'd0;
endmodule
`default_nettype wire
