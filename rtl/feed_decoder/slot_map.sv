// SPDX-License-Identifier: Apache-2.0
// Listing to slot: a table in block RAM that the host writes. Its row is the low MAP_W bits of the listing id, the rest of
// the id is kept in the row and compared: of two listings with the same low bits one can be mapped at a time.
//
// Lookup: look with look_listing; from the second clock after, hit and slot are valid and stay until the next look. One
// look every second clock. A look in the clock of a write sees the row as it was.
// After reset all rows are emptied, one a clock: sts_hold is high for those 2**MAP_W clocks and a write then is not taken.
// A row that the host asks for stands on sts_map_* two clocks later; sts_hold is high until then.
`default_nettype none
module slot_map #(
    parameter int SLOTS  = 256,            // slots of the books; a row with a slot beyond them counts as empty
    parameter int SLOT_W = $clog2(SLOTS),  // bits of a slot
    parameter int MAP_W  = 10              // bits of a row's number, 1 to 16
) (
    input  wire logic              clk,
    input  wire logic              rst,  // synchronous, active high

    input  wire logic              cfg_map_write,    // one clock: the listing's row becomes {valid, slot}
    input  wire logic              cfg_map_read,     // one clock: the listing's row is shown
    input  wire logic [31:0]       cfg_map_listing,
    input  wire logic [SLOT_W-1:0] cfg_map_slot,
    input  wire logic              cfg_map_valid,
    output      logic [31:0]       sts_map_stored_listing,  // whose row it is; differs from the one asked for where another has it
    output      logic [SLOT_W-1:0] sts_map_stored_slot,
    output      logic              sts_map_stored_valid,
    output wire logic              sts_hold,
    output      logic              busy,             // rows are being emptied: no lookup now

    input  wire logic              look,
    input  wire logic [31:0]       look_listing,
    output wire logic              hit,
    output      logic [SLOT_W-1:0] slot
);
    localparam int ROWS   = 1 << MAP_W;
    localparam int TAG_W  = 32 - MAP_W;
    localparam int ROW_W  = TAG_W + SLOT_W + 1;  // {tag, slot, valid}
    // The tag is compared in groups of three bits in one clock, and the groups are joined in the next.
    localparam int GROUPS = (TAG_W + 2) / 3;

    initial begin
        if (MAP_W < 1 || MAP_W > 16) $fatal(1, "%m: MAP_W=%0d, wanted 1 to 16", MAP_W);
        if (SLOTS < 2 || SLOT_W != $clog2(SLOTS)) $fatal(1, "%m: SLOTS=%0d in SLOT_W=%0d bits, wanted 2 or more and no others", SLOTS, SLOT_W);
    end

    logic [ROW_W-1:0] rows_q [0:ROWS-1];
    logic [ROW_W-1:0] host_q, row_q;
    logic [MAP_W-1:0] clear_q;     // the row that is emptied next
    logic [MAP_W-1:0] asked_q;     // the row that host_q came from
    logic             fetching_q, looking_q;

    wire logic             looks    = look && !busy;
    wire logic [MAP_W-1:0] host_row = busy ? clear_q : cfg_map_listing[MAP_W-1:0];
    // Compared in 32 bits: SLOTS itself may not fit SLOT_W.
    wire logic             fits = 32'(cfg_map_slot) < SLOTS;
    wire logic [ROW_W-1:0] host_value =
        busy ? '0 : {cfg_map_listing[31:MAP_W], cfg_map_slot, cfg_map_valid && fits};

    always_ff @(posedge clk) begin
        if (busy || cfg_map_write) rows_q[host_row] <= host_value;
        if (cfg_map_read) host_q <= rows_q[host_row];
        if (looks) row_q <= rows_q[look_listing[MAP_W-1:0]];
    end

    logic [TAG_W-1:0]  tag_q;    // what was looked for
    logic [GROUPS-1:0] equal_q;
    logic              valid_q;

    // Padded with zeros on both sides to whole groups.
    wire logic [3*GROUPS-1:0] wanted = (3*GROUPS)'(tag_q);
    wire logic [3*GROUPS-1:0] met    = (3*GROUPS)'(row_q[ROW_W-1:SLOT_W+1]);

    assign hit      = valid_q && &equal_q;
    assign sts_hold = busy || cfg_map_read || fetching_q;

    always_ff @(posedge clk) begin
        if (looks) tag_q <= look_listing[31:MAP_W];
        looking_q <= looks;
        if (looking_q) begin
            for (int i = 0; i < GROUPS; i++) equal_q[i] <= wanted[3*i +: 3] == met[3*i +: 3];
            slot    <= row_q[SLOT_W:1];
            valid_q <= row_q[0];
        end

        if (cfg_map_read) asked_q <= host_row;
        fetching_q <= cfg_map_read;
        if (fetching_q) begin
            sts_map_stored_listing <= {host_q[ROW_W-1:SLOT_W+1], asked_q};
            sts_map_stored_slot    <= host_q[SLOT_W:1];
            sts_map_stored_valid   <= host_q[0];
        end

        if (busy) begin
            clear_q <= clear_q + 1'b1;
            busy    <= !(&clear_q);
        end
        if (rst) begin
            clear_q    <= '0;
            busy       <= 1'b1;
            looking_q  <= 1'b0;
            fetching_q <= 1'b0;
            valid_q    <= 1'b0;
            sts_map_stored_listing <= '0;
            sts_map_stored_slot    <= '0;
            sts_map_stored_valid   <= 1'b0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    always_comb if (ran_q && hit) within: assert (32'(slot) < SLOTS);

    // What induction needs: no row that has been emptied or written holds a slot that is not there.
    logic [ROWS-1:0] row_ok;
    always_comb begin
        for (int at = 0; at < ROWS; at++)
            row_ok[at] = (busy && at >= 32'(clear_q)) || !rows_q[at][0] || 32'(rows_q[at][SLOT_W:1]) < SLOTS;
        if (ran_q) rows: assert (&row_ok);
        if (ran_q && looking_q) row: assert (!row_q[0] || 32'(row_q[SLOT_W:1]) < SLOTS);
        if (ran_q && valid_q) kept: assert (32'(slot) < SLOTS);
    end
`endif
endmodule
`default_nettype wire
