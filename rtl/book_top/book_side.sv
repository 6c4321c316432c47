// SPDX-License-Identifier: Apache-2.0
// One side of every slot's book: its LEVELS best levels, sorted, in one wide row of block RAM.
//
// An operation takes three clocks: `load` brings a slot's row (or a quote in its place) into registers; `compare` holds the
// price against each level; `update` moves the levels, shows the new best one and says what was wrong. The next operation
// on the same row may follow without a load, else the row is to be written back first (`store`).
//
//   op        what it does with lots at price
//   ADD       lots more at price
//   SET       lots at price, whatever was there
//   ZERO      nothing at price any more; no matter if nothing was there
//   TAKE      lots less at price
//   NONE      nothing
// A level that falls off the end sets `more`: from then on levels worse than the worst kept are not kept, and not missed.
`default_nettype none
module book_side #(
    parameter bit BUY        = 1,   // 1: the highest price is the best
    parameter int LEVELS     = 4,   // kept levels, 2 or more
    parameter int SLOT_W     = 8,   // bits of a slot's number
    parameter int PRICE_W    = 32,  // bits of a signed price, ticks
    parameter int BOOK_QTY_W = 32   // bits of a level's lots
) (
    input  wire logic                      clk,

    input  wire logic [SLOT_W-1:0]         read_slot,   // its row can be loaded in the next clock
    input  wire logic                      store,       // write the row that is held …
    input  wire logic                      clear,       // … or an empty one …
    input  wire logic [SLOT_W-1:0]         store_slot,  // … to this slot

    input  wire logic                      load,        // take the row that was read …
    input  wire logic                      load_quote,  // … or this one level
    input  wire logic                      quote_has,
    input  wire logic signed [PRICE_W-1:0] quote_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     quote_lots,

    input  wire logic                      op_add,      // at most one of these, from compare to update
    input  wire logic                      op_set,
    input  wire logic                      op_zero,
    input  wire logic                      op_take,
    input  wire logic signed [PRICE_W-1:0] op_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     op_lots,     // of TAKE the complement, so that it need not be made here
    input  wire logic                      update,

    output      logic                      best_has,    // after update, until the next one
    output      logic signed [PRICE_W-1:0] best_ticks,  // any value while best_has is low
    output      logic [BOOK_QTY_W-1:0]     best_lots,
    output wire logic                      missing,     // with update: there is less than is to be taken
    output wire logic                      range,       // with update: the sum does not fit
    output wire logic                      exhausted,   // with update: the last kept level goes, and more were cut off
    output wire logic                      wrong,       // with update: any of the three

    output wire logic                      read_has,    // the best level of the row that was read
    output wire logic signed [PRICE_W-1:0] read_ticks,
    output wire logic [BOOK_QTY_W-1:0]     read_lots
);
    localparam int LEVEL_W = PRICE_W + BOOK_QTY_W;
    localparam int ROW_W   = 1 + LEVELS + LEVELS * LEVEL_W;  // {more, valid, levels}; level 0 is the best, the lowest

    initial if (LEVELS < 2) $fatal(1, "%m: LEVELS=%0d, wanted 2 or more", LEVELS);

    logic [ROW_W-1:0] rows_q [0:(1<<SLOT_W)-1];
    logic [ROW_W-1:0] read_q;

    logic                      more_q;
    logic [LEVELS-1:0]         valid_q;   // a thermometer: level i + 1 is there only if level i is
    logic [LEVELS*PRICE_W-1:0] ticks_q;
    logic [LEVELS*BOOK_QTY_W-1:0] lots_q;

    always_ff @(posedge clk) begin
        if (store || clear) rows_q[store_slot] <= clear ? '0 : {more_q, valid_q, lots_q, ticks_q};
        read_q <= rows_q[read_slot];
    end

    assign read_has   = read_q[LEVELS*LEVEL_W];
    assign read_ticks = read_q[PRICE_W-1:0];
    assign read_lots  = read_q[LEVELS*PRICE_W +: BOOK_QTY_W];

    // compare: each level against the price. All that the levels need for their move is made of it here, so that `update`
    // has time to move them: they are sorted, so what is better than one level is better than all behind it.
    wire logic [LEVELS-1:0] equal, better, beyond;             // better: the price is better than that of the level
    wire logic [LEVELS-1:0] leaves, leaves_upto, newer;
    wire logic [LEVELS*BOOK_QTY_W-1:0] moved;                  // lots of each level after ADD or TAKE
    logic [LEVELS-1:0] equal_q;
    logic [LEVELS-1:0] below_q;                                // this level goes, or one before it
    logic [LEVELS-1:0] newer_q;                                // what enters is better than this level and not found before it
    logic              behind_q;                               // worse than all kept, where it is not found
    logic [LEVELS-1:0] beyond_q;                               // fewer lots than none, or too many
    logic [LEVELS-1:0] moves_q, sets_q;                        // the level found takes the sum, or the lots of SET
    logic [LEVELS*BOOK_QTY_W-1:0] moved_q;

    generate
        for (genvar i = 0; i < LEVELS; i++) begin : g_compare
            wire logic signed [PRICE_W-1:0] ticks = ticks_q[i*PRICE_W +: PRICE_W];
            wire logic [BOOK_QTY_W-1:0] lots = lots_q[i*BOOK_QTY_W +: BOOK_QTY_W];
            wire logic [BOOK_QTY_W:0] sum = {1'b0, lots} + {op_take, op_lots} + {{BOOK_QTY_W{1'b0}}, op_take};
            assign equal[i]  = valid_q[i] && ticks == op_ticks;
            assign better[i] = !valid_q[i] || (BUY ? op_ticks > ticks : op_ticks < ticks);
            assign leaves[i] = equal[i] && (op_zero || op_take && lots == ~op_lots);
            assign leaves_upto[i] = |leaves[i:0];
            if (i == 0) begin : g_first
                assign newer[i] = better[i];
            end else begin : g_next
                assign newer[i] = better[i] && !(|equal[i-1:0]);
            end
            assign beyond[i] = sum[BOOK_QTY_W];
            assign moved[i*BOOK_QTY_W +: BOOK_QTY_W] = sum[BOOK_QTY_W-1:0];
        end
    endgenerate

    always_ff @(posedge clk) begin
        equal_q  <= equal;
        below_q  <= leaves_upto;
        newer_q  <= newer & {LEVELS{op_add || op_set}};
        moves_q  <= equal & {LEVELS{op_add || op_take}};
        sets_q   <= equal & {LEVELS{op_set}};
        behind_q <= !(|(better & valid_q));
        beyond_q <= beyond;
        moved_q  <= moved;
    end

    // update: every level stays, takes the new one, or takes that of its neighbour
    wire logic              found   = |equal_q;
    wire logic              refuses = behind_q && more_q;  // nobody knows what was cut off before it
    wire logic              cuts    = (op_add || op_set) && !found && valid_q[LEVELS-1];
    wire logic [LEVELS-1:0] pushed;   // the level before moves here
    wire logic [LEVELS-1:0] new_here;
    wire logic signed [PRICE_W-1:0] best_ticks_d;
    wire logic [BOOK_QTY_W-1:0] best_lots_d;
    wire logic best_has_d;

    wire logic too_far = |(equal_q & beyond_q);
    wire logic nowhere = !found && !refuses;
    assign missing   = op_take && (too_far || nowhere);
    assign range     = op_add && too_far;
    assign exhausted = below_q[0] && !valid_q[1] && more_q;
    assign wrong     = (op_add || op_take) && too_far || op_take && nowhere || exhausted;

    generate
        for (genvar i = 0; i < LEVELS; i++) begin : g_update
            if (i == 0) begin : g_first
                assign pushed[i]   = 1'b0;
                assign new_here[i] = newer_q[i];
            end else begin : g_other
                assign pushed[i]   = newer_q[i-1];
                assign new_here[i] = newer_q[i] && !refuses;  // unless pushed
            end

            wire logic signed [PRICE_W-1:0] after_ticks;
            wire logic [BOOK_QTY_W-1:0] after_lots;
            wire logic after_valid;
            if (i == LEVELS - 1) begin : g_last
                assign after_ticks = ticks_q[i*PRICE_W +: PRICE_W];
                assign after_lots  = lots_q[i*BOOK_QTY_W +: BOOK_QTY_W];
                assign after_valid = 1'b0;
            end else begin : g_not_last
                assign after_ticks = ticks_q[(i+1)*PRICE_W +: PRICE_W];
                assign after_lots  = lots_q[(i+1)*BOOK_QTY_W +: BOOK_QTY_W];
                assign after_valid = valid_q[i+1];
            end

            wire logic signed [PRICE_W-1:0] before_ticks;
            wire logic [BOOK_QTY_W-1:0] before_lots;
            wire logic before_valid;
            if (i == 0) begin : g_none_before
                assign before_ticks = op_ticks;
                assign before_lots  = op_lots;
                assign before_valid = 1'b1;
            end else begin : g_before
                assign before_ticks = ticks_q[(i-1)*PRICE_W +: PRICE_W];
                assign before_lots  = lots_q[(i-1)*BOOK_QTY_W +: BOOK_QTY_W];
                assign before_valid = valid_q[i-1];
            end

            // As two bits and gates, not as a choice that may keep the old value: a clock enable made of it would be late.
            wire logic from_else  = below_q[i] || pushed[i];
            wire logic ticks_late = below_q[i] || !pushed[i] && new_here[i];
            wire logic lots_late  = below_q[i] || !pushed[i] && (new_here[i] || sets_q[i]);
            wire logic [BOOK_QTY_W-1:0] same_lots =
                moved_q[i*BOOK_QTY_W +: BOOK_QTY_W] & {BOOK_QTY_W{moves_q[i]}}
                | lots_q[i*BOOK_QTY_W +: BOOK_QTY_W] & {BOOK_QTY_W{!moves_q[i]}};
            wire logic signed [PRICE_W-1:0] next_ticks =
                {PRICE_W{from_else}} & ({PRICE_W{ticks_late}} & after_ticks | {PRICE_W{!ticks_late}} & before_ticks)
                | {PRICE_W{!from_else}} & ({PRICE_W{ticks_late}} & op_ticks
                                           | {PRICE_W{!ticks_late}} & ticks_q[i*PRICE_W +: PRICE_W]);
            wire logic [BOOK_QTY_W-1:0] next_lots =
                {BOOK_QTY_W{from_else}} & ({BOOK_QTY_W{lots_late}} & after_lots | {BOOK_QTY_W{!lots_late}} & before_lots)
                | {BOOK_QTY_W{!from_else}} & ({BOOK_QTY_W{lots_late}} & op_lots | {BOOK_QTY_W{!lots_late}} & same_lots);
            wire logic next_valid = below_q[i] ? after_valid : pushed[i] ? before_valid : valid_q[i] || new_here[i];

            if (i == 0) begin : g_best
                assign best_ticks_d = next_ticks;
                assign best_lots_d  = next_lots;
                assign best_has_d   = next_valid;
            end

            // A quote is level 0 alone; what is not valid behind it may have any price.
            always_ff @(posedge clk) begin
                if (load || update) begin
                    ticks_q[i*PRICE_W +: PRICE_W] <=
                        !load ? next_ticks : load_quote && i == 0 ? quote_ticks : read_q[i*PRICE_W +: PRICE_W];
                    lots_q[i*BOOK_QTY_W +: BOOK_QTY_W] <=
                        !load ? next_lots : load_quote && i == 0 ? quote_lots
                                                                 : read_q[LEVELS*PRICE_W + i*BOOK_QTY_W +: BOOK_QTY_W];
                    valid_q[i] <= !load ? next_valid : load_quote ? quote_has && i == 0 : read_q[LEVELS*LEVEL_W + i];
                end
            end
        end
    endgenerate

    always_ff @(posedge clk) begin
        if (load) more_q <= !load_quote && read_q[ROW_W-1];
        else if (update && cuts) more_q <= 1'b1;
        if (update) begin
            best_has   <= best_has_d;
            best_ticks <= best_ticks_d;
            best_lots  <= best_lots_d;
        end
    end

`ifdef FORMAL
    // The neighbour: one operation at a time, the same from compare to update; every row that is read was once stored.
    logic ran_q, updated_q, loaded_q, best_q;
    logic [LEVELS-1:0] in_order, read_order;
    formal_reset reset_i (.clk(clk), .rst(!ran_q), .ran_q(ran_q));

    generate
        for (genvar i = 0; i < LEVELS; i++) begin : g_order
            if (i == 0) begin : g_first
                assign in_order[i]   = 1'b1;
                assign read_order[i] = 1'b1;
            end else begin : g_next
                wire logic signed [PRICE_W-1:0] worse = ticks_q[i*PRICE_W +: PRICE_W];
                wire logic signed [PRICE_W-1:0] upper = ticks_q[(i-1)*PRICE_W +: PRICE_W];
                wire logic signed [PRICE_W-1:0] read_worse = read_q[i*PRICE_W +: PRICE_W];
                wire logic signed [PRICE_W-1:0] read_upper = read_q[(i-1)*PRICE_W +: PRICE_W];
                assign in_order[i] = !valid_q[i] || valid_q[i-1] && (BUY ? upper > worse : upper < worse);
                assign read_order[i] = !read_q[LEVELS*LEVEL_W+i]
                    || read_q[LEVELS*LEVEL_W+i-1] && (BUY ? read_upper > read_worse : read_upper < read_worse);
            end
        end
    endgenerate

    logic [3:0] op_q;
    logic signed [PRICE_W-1:0] op_ticks_q;
    logic [BOOK_QTY_W-1:0] op_lots_q;
    initial loaded_q = 1'b0;
    always_ff @(posedge clk) begin
        loaded_q   <= loaded_q || load;
        updated_q  <= update || load;
        best_q     <= update;
        op_q       <= {op_add, op_set, op_zero, op_take};
        op_ticks_q <= op_ticks;
        op_lots_q  <= op_lots;
    end
    always_comb begin
        assume (3'(op_add) + 3'(op_set) + 3'(op_zero) + 3'(op_take) <= 3'd1);
        assume (!(load && update));
        if (load && !load_quote) assume (&read_order);
        if (!loaded_q) assume (!update);
        if (ran_q && update) assume (!updated_q && op_q == {op_add, op_set, op_zero, op_take}
                                     && op_ticks_q == op_ticks && op_lots_q == op_lots);
    end
    always_comb if (ran_q && loaded_q) begin
        sorted: assert (&in_order);
        if (best_q) begin
            best_there: assert (best_has == valid_q[0]);
            if (best_has) best_price: assert (best_ticks == ticks_q[PRICE_W-1:0]);
            if (best_has) best_size:  assert (best_lots == lots_q[BOOK_QTY_W-1:0]);
            // What was set stands at its price, or is worse than the best.
            if (op_q[2]) set_has: assert (best_has);
            if (op_q[2] && best_ticks == op_ticks_q) set_lots: assert (best_lots == op_lots_q);
            if (op_q[2] && best_ticks != op_ticks_q)
                set_behind: assert (BUY ? best_ticks > op_ticks_q : best_ticks < op_ticks_q);
        end
    end
`endif
endmodule
`default_nettype wire
