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
endmodule
`default_nettype wire
