// SPDX-License-Identifier: Apache-2.0
// One rule lane of `trigger`: its table of rows by slot, its copy of the latest tops, and the comparison.
//
// The comparison is one sum whose sign decides: a row holds a bias that was made from its threshold when it was written.
//   at least   operand - threshold     >= 0       bias -threshold
//   at most    operand - threshold - 1 <  0       bias -threshold - 1
//   pairs      bid + ~ask + 1 - threshold >= 0    bias 1 - threshold; the other listing's price is added last
// What is computed with stands in distributed RAM (`compare`), as block RAM is too slow to be added to in the clock after
// its read; what is only handed on (`rest`), and the other listing's top, in block RAM.
//
// Clocks: `take` reads the row; with `phase` 0 … 2 after it, the other slot's top is read, registered and compared with.
// `load` registers the outputs, of a pair in phase 2, of all others in any.
`default_nettype none
module trigger_lane #(
    parameter int SLOT_W  = 8,   // bits of a slot
    parameter int RULES   = 64,  // rules that can be armed
    parameter int RULE_W  = 6,   // bits of a rule's number
    parameter int PRICE_W = 32,  // bits of a signed price, ticks
    parameter int QTY_W   = 24,  // bits of an order's lots
    parameter int COMPARE_W  = 10 + RULE_W + 2 * PRICE_W,
    parameter int REST_W  = 2 * SLOT_W + 2 + QTY_W,
    parameter int KEEP_W  = 3 + 2 * PRICE_W
) (
    input  wire logic                      clk,

    input  wire logic                      row_write,
    input  wire logic [SLOT_W-1:0]         row_index,
    input  wire logic [COMPARE_W-1:0]         row_compare, // as taken apart below
    input  wire logic [REST_W-1:0]         row_rest,
    input  wire logic                      keep_write,
    input  wire logic [SLOT_W-1:0]         keep_index,
    input  wire logic [KEEP_W-1:0]         keep_value, // {known, has_bid, has_ask, bid_ticks, ask_ticks}

    input  wire logic                      take,       // read the row of this slot
    input  wire logic [SLOT_W-1:0]         slot,
    input  wire logic [1:0]                phase,      // clocks since
    input  wire logic                      top_known,  // the top that was taken, registered
    input  wire logic                      top_has_bid,
    input  wire logic                      top_has_ask,
    input  wire logic signed [PRICE_W-1:0] top_bid_ticks,
    input  wire logic signed [PRICE_W-1:0] top_ask_ticks,
    input  wire logic signed [PRICE_W:0]   top_spread_ticks,
    input  wire logic [RULES-1:0]          armed,
    output wire logic                      is_pair,    // of the row that was read

    input  wire logic                      load,       // register what follows
    output wire logic                      fires,      // may_fire, and the condition holds
    output wire logic                      may_fire,   // its rule is armed, and all prices are there …
    output wire logic                      unknown,    // … or a top is not known …
    output wire logic                      absent,     // … or a price is absent
    output      logic [RULE_W-1:0]         rule,
    output      logic [SLOT_W-1:0]         order_slot,
    output      logic [1:0]                order_side,
    output wire logic signed [PRICE_W-1:0] order_price_ticks,
    output wire logic                      order_fits,
    output      logic [QTY_W-1:0]          order_lots
);
    // what a row compares; the pairs have the highest bit
    localparam logic [2:0] TEST_ASK = 3'd0, TEST_BID = 3'd1, TEST_WIDE = 3'd2, TEST_NARROW = 3'd3;
    localparam logic [2:0] TEST_BID_ASK = 3'd4;

    // Banks of 64 rows, each with a write enable that is a register: to decode the index on the way to the memories costs
    // more than half a clock.
    localparam int BANK_BITS = SLOT_W < 6 ? SLOT_W : 6;
    localparam int BANKS     = 1 << (SLOT_W - BANK_BITS);
    (* ram_style = "block" *)       logic [REST_W-1:0] rest_ram [0:(1 << SLOT_W)-1];
    (* ram_style = "block" *)       logic [KEEP_W-1:0] keep_ram [0:(1 << SLOT_W)-1];
    logic [COMPARE_W-1:0] compare_q, write_compare_q;
    logic [BANKS-1:0]     write_bank_q;
    wire logic [BANKS*COMPARE_W-1:0] bank_compare;
    wire logic [SLOT_W-1:0] slot_bank = slot >> BANK_BITS;
    logic [REST_W-1:0]    write_rest_q;
    logic [SLOT_W-1:0]    write_index_q;
    logic                 write_q;
    logic [REST_W-1:0] rest_q;
    logic [KEEP_W-1:0] keep_q;

    wire logic                      row_valid, row_needs_bid, row_needs_ask;
    wire logic [2:0]                row_test;
    wire logic [RULE_W-1:0]         row_rule;
    wire logic signed [PRICE_W+1:0] row_bias;
    wire logic                      row_add_bid, row_add_ask;  // to the row's price
    wire logic signed [PRICE_W-1:0] row_price;
    assign {row_valid, row_test, row_needs_bid, row_needs_ask, row_rule, row_bias,
            row_add_bid, row_add_ask, row_price} = compare_q;
    assign is_pair = row_test[2];

    wire logic [SLOT_W-1:0] row_other, row_slot;  // a pair's other slot; the order's slot
    wire logic [1:0]        row_side;
    wire logic [QTY_W-1:0]  row_lots;
    assign {row_other, row_slot, row_side, row_lots} = rest_q;

    wire logic                      other_known, other_has_bid, other_has_ask;
    wire logic signed [PRICE_W-1:0] other_bid_ticks, other_ask_ticks;
    assign {other_known, other_has_bid, other_has_ask, other_bid_ticks, other_ask_ticks} = keep_q;

    // The sums run over PRICE_W + 2 bits, which hold bias and operand at their furthest. There is one for each operand, and
    // their signs are registered as they come: to select among operands before, or signs after, costs a clock's quarter.
    wire logic signed [PRICE_W+1:0] ask_sum    = row_bias + {{2{top_ask_ticks[PRICE_W-1]}}, top_ask_ticks};
    wire logic signed [PRICE_W+1:0] bid_sum    = row_bias + {{2{top_bid_ticks[PRICE_W-1]}}, top_bid_ticks};
    wire logic signed [PRICE_W+1:0] spread_sum = row_bias + {top_spread_ticks[PRICE_W], top_spread_ticks};

    // A pair's bid and ~ask are added one after the other.
    wire logic is_bid_ask = row_test == TEST_BID_ASK;
    logic signed [PRICE_W-1:0] own_q, other_q;
    logic signed [PRICE_W+1:0] own_sum_q;
    logic                      other_known_q, other_present_q;
    wire logic signed [PRICE_W+1:0] pair_sum = own_sum_q + {{2{other_q[PRICE_W-1]}}, other_q};

    wire logic known      = top_known && (!is_pair || other_known_q);
    wire logic present    = (!row_needs_bid || top_has_bid) && (!row_needs_ask || top_has_ask) &&
                            (!is_pair || other_present_q);

    // Whether the rule is armed is a selection among all rules, and so stands alone in front of its register.
    logic       armed_q, ready_q, unknown_q, absent_q;
    logic [2:0] test_q;
    logic       ask_below_q, bid_below_q, spread_below_q, pair_below_q;
    wire logic  one_holds =
        test_q == TEST_ASK  ? ask_below_q :
        test_q == TEST_BID  ? !bid_below_q :
        test_q == TEST_WIDE ? !spread_below_q :
        test_q == TEST_NARROW && spread_below_q;
    assign may_fire = armed_q && ready_q;
    assign unknown  = armed_q && unknown_q;
    assign absent   = armed_q && absent_q;
    assign fires    = may_fire && (one_holds || test_q[2] && !pair_below_q);

    // A price that needs one bit more than there are does not fit, and says so.
    wire logic signed [PRICE_W-1:0] touched = row_add_ask ? top_ask_ticks : row_add_bid ? top_bid_ticks : '0;
    wire logic signed [PRICE_W:0] price = {row_price[PRICE_W-1], row_price} + {touched[PRICE_W-1], touched};

    always_ff @(posedge clk) begin
        if (take) compare_q <= bank_compare[slot_bank*COMPARE_W +: COMPARE_W];
    end
    genvar bank;
    generate
        for (bank = 0; bank < BANKS; bank = bank + 1) begin : g_bank
            (* ram_style = "distributed" *) logic [COMPARE_W-1:0] compare_ram [0:(1 << BANK_BITS)-1];
            assign bank_compare[bank*COMPARE_W +: COMPARE_W] = compare_ram[slot[BANK_BITS-1:0]];
            always_ff @(posedge clk) begin
                if (write_bank_q[bank]) compare_ram[write_index_q[BANK_BITS-1:0]] <= write_compare_q;
            end
        end
    endgenerate
    always_ff @(posedge clk) begin
        if (write_q) rest_ram[write_index_q] <= write_rest_q;
        if (take) rest_q <= rest_ram[slot];
    end
    always_ff @(posedge clk) begin
        if (keep_write) keep_ram[keep_index] <= keep_value;
        if (phase == 2'd0) keep_q <= keep_ram[row_other];
    end

    logic signed [PRICE_W:0] price_q;
    assign order_price_ticks = price_q[PRICE_W-1:0];
    assign order_fits = price_q[PRICE_W] == price_q[PRICE_W-1];

    // A row is written a clock after it came: the memories lie far apart, and the way to them needs a clock of its own.
    always_ff @(posedge clk) begin
        write_q         <= row_write;
        write_bank_q    <= row_write ? BANKS'(1) << (row_index >> BANK_BITS) : '0;
        write_index_q   <= row_index;
        write_compare_q <= row_compare;
        write_rest_q    <= row_rest;
    end

    always_ff @(posedge clk) begin
        own_q <= is_bid_ask ? top_bid_ticks : ~top_ask_ticks;
        own_sum_q <= row_bias + {{2{own_q[PRICE_W-1]}}, own_q};
        if (phase == 2'd1) begin
            other_q         <= is_bid_ask ? ~other_ask_ticks : other_bid_ticks;
            other_known_q   <= other_known;
            other_present_q <= is_bid_ask ? other_has_ask : other_has_bid;
        end
        if (load) begin
            test_q         <= row_test;
            ask_below_q    <= ask_sum[PRICE_W+1];
            bid_below_q    <= bid_sum[PRICE_W+1];
            spread_below_q <= spread_sum[PRICE_W+1];
            pair_below_q   <= pair_sum[PRICE_W+1];
            armed_q    <= armed[row_rule];
            ready_q    <= row_valid && known && present;
            unknown_q  <= row_valid && !known;
            absent_q   <= row_valid && known && !present;
            rule       <= row_rule;
            order_slot <= row_slot;
            order_side <= row_side;
            order_lots <= row_lots;
            price_q    <= price;
        end
    end
endmodule
`default_nettype wire
