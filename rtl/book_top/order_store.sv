// SPDX-License-Identifier: Apache-2.0
// The open orders of all slots by their ref: WAYS orders of each hash value, in block RAM.
//
// An order counts as long as its slot has the generation that it had when the order was entered: a slot forgets its
// orders by taking another number. Before a number comes round again `sweep` takes out what is forgotten.
//
// A look-up takes three clocks: `read` (the set of ref), `fetch` (what was read into registers), `compare` (against ref,
// slot and generation); the answer holds until the next `compare`. `change` then writes the order that was found back,
// `insert` writes one into the way that was found, or else into the first free one.
`default_nettype none
module order_store #(
    parameter int ORDERS     = 4096,  // WAYS times a power of 2
    parameter int WAYS       = 4,
    parameter int SLOT_W     = 8,     // bits of a slot's number
    parameter int GEN_W      = 6,     // bits of a slot's generation
    parameter int PRICE_W    = 32,    // bits of a signed price, ticks
    parameter int BOOK_QTY_W = 32     // bits of an order's lots
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic                      gen_write,    // a slot has another generation from the next clock on
    input  wire logic [SLOT_W-1:0]         gen_slot,
    input  wire logic [GEN_W-1:0]          gen_value,

    input  wire logic                      read,
    input  wire logic                      read_next,    // with read: the set of the next_ref of the last read without
    input  wire logic [63:0]               read_ref,
    input  wire logic [63:0]               next_ref,
    input  wire logic                      fetch,
    input  wire logic                      fetch_rest,   // with fetch: side, price and lots too
    input  wire logic                      compare,
    input  wire logic                      compare_next, // the way found before is leaving: it counts as free
    input  wire logic [63:0]               ref_of,       // with compare, change and insert
    input  wire logic [SLOT_W-1:0]         slot,         // with compare, change and insert
    input  wire logic [GEN_W-1:0]          gen,          // with compare and change
    input  wire logic [BOOK_QTY_W-1:0]     less_lots,    // with compare: how many lots `change` takes away

    input  wire logic                      change,       // after compare: take less_lots from the order that was found …
    input  wire logic                      change_all,   // … or all; high with clear and sweep
    input  wire logic                      change_read,  // with change: a read of the next look-up happens meanwhile
    input  wire logic                      inserting,    // no `change` can come now, but an `insert`
    input  wire logic                      insert,
    input  wire logic [GEN_W-1:0]          insert_gen,
    input  wire logic                      insert_sell,
    input  wire logic signed [PRICE_W-1:0] insert_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     insert_lots,

    input  wire logic                      clear,        // empty the set sweep_set
    input  wire logic                      sweep,        // three clocks later the set sweep_set holds live orders alone
    input  wire logic [$clog2(ORDERS/WAYS)-1:0] sweep_set,

    output wire logic                      found,        // the answer, after compare
    output wire logic                      full,         // all ways hold live orders
    output wire logic                      found_sell,
    output wire logic signed [PRICE_W-1:0] found_ticks,
    output wire logic [BOOK_QTY_W-1:0]     found_lots,
    output wire logic                      found_short   // the order has less than less_lots
);
    localparam int SETS    = ORDERS / WAYS;
    localparam int SET_W   = $clog2(SETS);
    localparam int TAG_W   = 1 + GEN_W + SLOT_W + 64;        // {valid, generation, slot, ref}
    localparam int REST_W  = 1 + PRICE_W + BOOK_QTY_W;       // {sell, ticks, lots}
    localparam int CHUNKS  = (64 + SET_W - 1) / SET_W;

    initial begin
        if (SETS < 2 || SETS * WAYS != ORDERS || (SETS & (SETS - 1)) != 0)
            $fatal(1, "%m: ORDERS=%0d, wanted WAYS=%0d times a power of 2, twice WAYS or more", ORDERS, WAYS);
    end

    // The set of a ref: its bits folded to SET_W.
    wire logic [CHUNKS*SET_W-1:0] ref_bits  = {{(CHUNKS*SET_W-64){1'b0}}, read_ref};
    wire logic [CHUNKS*SET_W-1:0] next_bits = {{(CHUNKS*SET_W-64){1'b0}}, next_ref};
    wire logic [SET_W-1:0] folded, next_folded;
    logic [SET_W-1:0] next_set_q;
    generate
        for (genvar i = 0; i < SET_W; i++) begin : g_fold
            assign folded[i]      = ^(ref_bits & {CHUNKS{SET_W'(1) << i}});
            assign next_folded[i] = ^(next_bits & {CHUNKS{SET_W'(1) << i}});
        end
    endgenerate
    wire logic [SET_W-1:0] read_set = sweep ? sweep_set : read_next ? next_set_q : folded;

    logic [SET_W-1:0] read_set_q, fetch_set_q, set_q;  // of what was read, fetched, compared
    logic [SET_W-1:0] gone_set_q;
    logic [WAYS-1:0]  gone_q;   // ways that were emptied at the edge at which the latest read took place
    logic [WAYS-1:0]  hit_q, live_q;
    logic             found_q;
    logic [2:0]       sweep_q;

    wire logic [WAYS-1:0] hit, live, short;
    wire logic [WAYS-1:0] first_free = ~live_q & (live_q + {{(WAYS-1){1'b0}}, 1'b1});
    wire logic [WAYS-1:0] insert_way = found_q ? hit_q : first_free;
    wire logic [WAYS*REST_W-1:0] rests;

    assign found = found_q;
    assign full  = &live_q;

    generate
        for (genvar i = 0; i < WAYS; i++) begin : g_way
            logic [TAG_W+REST_W-1:0] orders_q [0:SETS-1];
            logic [GEN_W-1:0]        gens_q [0:(1<<SLOT_W)-1];
            logic [TAG_W+REST_W-1:0] read_q;
            logic                    valid_q;
            logic [GEN_W-1:0]        tag_gen_q;
            logic [SLOT_W-1:0]       tag_slot_q;
            logic [63:0]             tag_ref_q;
            logic                    sell_q;
            logic [PRICE_W-1:0]      ticks_q;
            logic [BOOK_QTY_W-1:0]   lots_q, left_q;
            logic                    short_q, empty_q;

            wire logic leaving = compare_next && hit_q[i] && fetch_set_q == set_q;
            wire logic is_valid = valid_q && !leaving;
            wire logic [GEN_W-1:0] now_gen = gens_q[tag_slot_q];
            wire logic [BOOK_QTY_W:0] left = {1'b0, lots_q} - {1'b0, less_lots};
            assign hit[i]   = is_valid && tag_ref_q == ref_of && tag_slot_q == slot && tag_gen_q == gen;
            assign live[i]  = is_valid && tag_gen_q == now_gen;
            assign short[i] = hit_q[i] && short_q;
            assign rests[i*REST_W +: REST_W] = {REST_W{hit_q[i]}} & {sell_q, ticks_q, lots_q};

            wire logic write_insert = insert && insert_way[i];
            wire logic write_change = change && hit_q[i];
            wire logic write_sweep  = sweep_q[2] && !live_q[i];
            wire logic keep         = inserting || !change_all && !empty_q;
            wire logic [TAG_W+REST_W-1:0] order =
                inserting ? {keep, insert_gen, slot, ref_of, insert_sell, insert_ticks, insert_lots}
                          : {keep, gen, slot, ref_of, sell_q, ticks_q, left_q};

            always_ff @(posedge clk) begin
                if (write_insert || write_change || write_sweep || clear)
                    orders_q[clear ? sweep_set : set_q] <= order;
                if (read || sweep) read_q <= orders_q[read_set];
            end

            always_ff @(posedge clk) begin
                if (gen_write) gens_q[gen_slot] <= gen_value;
            end

            always_ff @(posedge clk) begin
                if (fetch) begin
                    {tag_gen_q, tag_slot_q, tag_ref_q} <= read_q[REST_W +: TAG_W-1];
                    valid_q <= read_q[TAG_W+REST_W-1] && !(gone_q[i] && gone_set_q == read_set_q);
                end
                if (fetch_rest) {sell_q, ticks_q, lots_q} <= read_q[REST_W-1:0];
                if (compare) begin
                    hit_q[i]  <= hit[i];
                    live_q[i] <= live[i];
                    left_q    <= left[BOOK_QTY_W-1:0];
                    short_q   <= left[BOOK_QTY_W];
                    empty_q   <= lots_q == less_lots;
                end
            end
        end
    endgenerate

    // Of the ways at most one was found.
    wire logic [REST_W-1:0] found_rest;
    generate
        for (genvar i = 0; i < REST_W; i++) begin : g_found
            assign found_rest[i] = |(rests & {WAYS{REST_W'(1) << i}});
        end
    endgenerate
    assign {found_sell, found_ticks, found_lots} = found_rest;
    assign found_short = |short;

    always_ff @(posedge clk) begin
        if (read && !read_next) next_set_q <= next_folded;
        if (read || sweep) begin
            read_set_q <= read_set;
            gone_q     <= change && change_all && change_read ? hit_q : '0;
            gone_set_q <= set_q;
        end
        if (fetch) fetch_set_q <= read_set_q;
        if (compare) begin
            set_q   <= fetch_set_q;
            found_q <= |hit;
        end
        sweep_q <= {sweep_q[1:0], sweep};
        if (rst) sweep_q <= 3'd0;
    end
endmodule
`default_nettype wire
