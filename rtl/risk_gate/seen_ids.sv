// SPDX-License-Identifier: Apache-2.0
// Remembers the ids of passed orders: SEEN_WAYS of each hash value, the oldest forgotten first.
//
// Latency: the id is taken with `load`, looked up with `look` in the next cycle or later, and `seen` stands two cycles
// after that. `enter` remembers the id at hand, whose row was looked up. After a reset the owner clears every row.
`default_nettype none
module seen_ids #(
    parameter int SEEN_SETS = 256,  // hash values, a power of 2, 2 or more
    parameter int SEEN_WAYS = 4,    // ids of one hash value, 1 to 15
    parameter int SET_W     = $clog2(SEEN_SETS)  // not to be set
) (
    input  wire logic             clk,
    input  wire logic             clear,  // empty row clear_set
    input  wire logic [SET_W-1:0] clear_set,
    input  wire logic             load,
    input  wire logic [62:0]      intent_id,  // above 0; 0 marks a place that is free
    input  wire logic             look,
    input  wire logic             enter,
    output wire logic             seen
);
    localparam int PLACE_W = 4;

    initial begin
        if (SEEN_SETS < 2 || SEEN_SETS > 2**20 || (SEEN_SETS & (SEEN_SETS - 1)) != 0)
            $fatal(1, "%m: SEEN_SETS=%0d, wanted a power of 2 from 2 to 2**20", SEEN_SETS);
        if (SEEN_WAYS < 1 || SEEN_WAYS > 15) $fatal(1, "%m: SEEN_WAYS=%0d, wanted 1 to 15", SEEN_WAYS);
    end

    (* ram_style = "block" *)
    logic [SEEN_WAYS*63+PLACE_W-1:0] rows_q [0:SEEN_SETS-1];  // {ids, place of the next}
    logic [SEEN_WAYS*63+PLACE_W-1:0] raw_q, row_q;
    logic [62:0]          id_q;
    logic [SET_W-1:0]     set_q;
    logic [SEEN_WAYS-1:0] hits_q;

    wire logic [PLACE_W-1:0] place = row_q[PLACE_W-1:0];
    wire logic [PLACE_W-1:0] place_next = place == PLACE_W'(SEEN_WAYS - 1) ? '0 : place + 1'b1;
    wire logic [SEEN_WAYS*63-1:0] ids, entered;
    wire logic [SEEN_WAYS-1:0]    hits;
    wire logic [SET_W-1:0] set = intent_id[SET_W-1:0] ^ intent_id[20 +: SET_W] ^ intent_id[40 +: SET_W];
    assign ids = row_q[SEEN_WAYS*63+PLACE_W-1:PLACE_W];

    generate
        for (genvar i = 0; i < SEEN_WAYS; i = i + 1) begin : g_way
            assign hits[i] = ids[i*63 +: 63] == id_q;
            assign entered[i*63 +: 63] = place == PLACE_W'(i) ? id_q : ids[i*63 +: 63];
        end
    endgenerate
    assign seen = |hits_q;

    // What is written stands in registers: the row with the id at hand.
    logic             clear_q;
    logic [SET_W-1:0] write_set_q;
    logic [SEEN_WAYS*63+PLACE_W-1:0] write_row_q;

    always_ff @(posedge clk) begin
        if (clear_q || enter) rows_q[write_set_q] <= write_row_q;
        if (look) raw_q <= rows_q[set_q];
    end

    always_ff @(posedge clk) begin
        if (load) begin
            id_q  <= intent_id;
            set_q <= set;
        end
        row_q  <= raw_q;
        clear_q     <= clear;
        write_set_q <= clear ? clear_set : set_q;
        write_row_q <= clear ? '0 : {entered, place_next};
        hits_q <= hits;
    end

`ifdef FORMAL
    // One id, any but 0: it is seen exactly where it is among the last SEEN_WAYS that were entered of its hash value.
    logic ran_q;
    formal_reset reset_i (.clk, .rst(clear), .ran_q);
    localparam int ROW_W = SEEN_WAYS*63 + PLACE_W;
    (* anyconst *) logic [62:0] any_id;
    wire logic [SET_W-1:0] any_set = any_id[SET_W-1:0] ^ any_id[20 +: SET_W] ^ any_id[40 +: SET_W];
    logic       cleared_q;      // its row has been cleared; before that it may hold anything
    logic       held_q;         // it is remembered,
    logic [3:0] newer_q;        // and so many of its hash value were entered after it
    logic       loaded_q;
    logic [1:0] since_q;        // clocks since `look`, up to 3; 0: no id is looked up
    wire logic  enters = enter && set_q == any_set;
    always_ff @(posedge clk) begin
        if (enters && id_q == any_id) {held_q, newer_q} <= {1'b1, 4'd0};
        else if (enters) {held_q, newer_q} <= {held_q && newer_q != 4'(SEEN_WAYS - 1), newer_q + 4'd1};
        if (clear && clear_set == any_set) {cleared_q, held_q} <= 2'b10;
        loaded_q <= load || loaded_q && !look && !enter;
        since_q  <= load || enter ? 2'd0 : look ? 2'd1 : since_q == 0 || since_q == 3 ? since_q : since_q + 1'b1;
        if (clear) {loaded_q, since_q} <= '0;  // a reset, at any clock of an order
        if (!ran_q) {cleared_q, held_q} <= '0;
    end

    // The row of its hash value, and how many ids were entered since the one of each place.
    wire logic [ROW_W-1:0]       stored = clear_q && write_set_q == any_set ? '0 : rows_q[any_set];
    wire logic [PLACE_W-1:0]     at = stored[PLACE_W-1:0];
    wire logic [SEEN_WAYS-1:0]   wrong;
    generate
        for (genvar i = 0; i < SEEN_WAYS; i = i + 1) begin : g_place
            wire logic [3:0] after = at > 4'(i) ? at - 4'(i) - 4'd1 : at + 4'(SEEN_WAYS - 1 - i);
            wire logic       is_any = stored[PLACE_W + i*63 +: 63] == any_id;
            assign wrong[i] = held_q ? after == newer_q && !is_any || after < newer_q && is_any : is_any;
        end
    endgenerate
    always_comb begin
        assume (any_id != 0);
        assume (!(clear || clear_q) || !load && !look && !enter);
        assume (!look || loaded_q && !load && since_q == 0);
        assume (!enter || since_q == 3);
        assume (!load || since_q == 0 || since_q == 3);
        if (ran_q) begin
            hashed:  assert (set_q == (id_q[SET_W-1:0] ^ id_q[20 +: SET_W] ^ id_q[40 +: SET_W]) || !loaded_q && since_q == 0);
            cleared: assert (!clear_q || write_row_q == 0);
        end
        if (ran_q && cleared_q) begin
            places: assert (at < PLACE_W'(SEEN_WAYS) && (!held_q || newer_q < 4'(SEEN_WAYS)));
            kept:   assert (wrong == 0);
            if (since_q != 0 && set_q == any_set) begin
                raw:     assert (raw_q == stored);
                row:     assert (since_q == 1 || row_q == stored);
                written: assert (since_q != 3 || write_set_q == set_q && write_row_q == {entered, place_next});
                known:   assert (since_q != 3 || id_q != any_id || seen == held_q);
            end
        end
    end
`endif
endmodule
`default_nettype wire
