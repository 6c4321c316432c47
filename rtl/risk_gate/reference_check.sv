// SPDX-License-Identifier: Apache-2.0
// Each listing's reference price and its time, and whether an order keeps to the collar around it and to its age.
//
// A reference is taken at any edge, at most at every second one, and none is refused; of a listing that is unknown, or from
// before 1970, it changes nothing. An order sees the references of the edges before the one that took it. A listing that
// becomes unknown loses its reference, so that what is later listed in its place does not inherit it.
//
// Latency: slot, price and at_ns of an order are taken with `load`; `look` follows in the next cycle, and one cycle later
// the listing's collar and age limit must stand. The answers stand three cycles after `load` and stay. One order at a time.
`default_nettype none
module reference_check #(
    parameter int SLOT_W  = 8,   // bits of a slot
    parameter int PRICE_W = 32   // bits of a signed price
) (
    input  wire logic                      clk,
    input  wire logic                      rst,
    input  wire logic                      clear,  // make clear_slot unknown, without a reference
    input  wire logic [SLOT_W-1:0]         clear_slot,

    input  wire logic                      s_ref_tvalid,
    input  wire logic [SLOT_W-1:0]         s_ref_slot,
    input  wire logic                      s_ref_has_price,
    input  wire logic signed [PRICE_W-1:0] s_ref_price_ticks,
    input  wire logic [63:0]               s_ref_at_ns,

    input  wire logic                      known_write,  // is a listing known?
    input  wire logic [SLOT_W-1:0]         known_slot,
    input  wire logic                      known,

    input  wire logic                      cfg_write,  // stays until cfg_done
    input  wire logic [SLOT_W-1:0]         cfg_index,
    input  wire logic                      cfg_has_price,
    input  wire logic signed [PRICE_W-1:0] cfg_price_ticks,
    input  wire logic [62:0]               cfg_at_ns,
    output wire logic                      cfg_done,

    input  wire logic                      load,
    input  wire logic                      look,
    input  wire logic [SLOT_W-1:0]         slot,
    input  wire logic signed [PRICE_W-1:0] price_ticks,
    input  wire logic [62:0]               at_ns,
    input  wire logic [PRICE_W-1:0]        collar_ticks,
    input  wire logic                      collar_unlimited,
    input  wire logic [62:0]               age_max_ns,
    input  wire logic                      age_unlimited,

    output      logic                      present,     // two cycles after `look`
    output wire logic                      outside,     // present, and the price beyond the collar
    output wire logic                      too_old      // present, and older than age_max_ns
);
    localparam int ROW_W = 1 + PRICE_W + 63;

    (* ram_style = "block" *)
    logic [ROW_W-1:0] table_q [0:(1 << SLOT_W)-1];  // {present, price, at}
    (* ram_style = "distributed" *)
    logic             known_q [0:(1 << SLOT_W)-1];

    // What is written stands in registers first: it is in the table one edge after the reference came.
    logic              write_q;
    logic [SLOT_W-1:0] write_slot_q;
    logic [ROW_W-1:0]  write_row_q;

    wire logic mark = s_ref_tvalid && !s_ref_at_ns[63] && known_q[s_ref_slot];
    logic              forget_q;  // a reference took the edge at which a listing's was to go
    logic [SLOT_W-1:0] forget_slot_q;
    wire logic         drop = known_write && !known && !clear;
    wire logic         forget = (drop || forget_q) && !s_ref_tvalid;
    assign cfg_done = cfg_write && !s_ref_tvalid && !clear && !forget;

    logic [ROW_W-1:0]  raw_q;
    logic [SLOT_W-1:0] slot_q;
    always_ff @(posedge clk) begin
        if (write_q) table_q[write_slot_q] <= write_row_q;
        if (look) raw_q <= table_q[slot_q];
    end
    always_ff @(posedge clk) if (known_write) known_q[known_slot] <= known;

    logic signed [PRICE_W-1:0] price_q, ref_q;
    logic [62:0]               at_q, marked_q;
    logic signed [PRICE_W+1:0] low_q, high_q;  // with the collar taken off and added
    logic signed [64:0]        oldest_q;       // a reference from before this is too old
    logic                      below_q, above_q, older_q, same_q, low_older_q;  // the age by halves: half the carry chain

    assign outside = below_q || above_q;
    assign too_old = older_q || same_q && low_older_q;

    always_ff @(posedge clk) begin
        forget_q <= (drop || forget_q) && s_ref_tvalid;
        if (drop) forget_slot_q <= known_slot;
        write_q      <= clear || mark || cfg_done || forget;
        write_slot_q <= clear ? clear_slot : s_ref_tvalid ? s_ref_slot : drop ? known_slot : forget_q ? forget_slot_q : cfg_index;
        write_row_q  <=
            clear        ? '0 :
            s_ref_tvalid ? {s_ref_has_price, s_ref_price_ticks, s_ref_at_ns[62:0]} :
            forget       ? '0 :
                           {cfg_has_price, cfg_price_ticks, cfg_at_ns};

        if (load) begin
            slot_q  <= slot;
            price_q <= price_ticks;
            at_q    <= at_ns;
        end
        {present, ref_q, marked_q} <= raw_q;
        low_q    <= (PRICE_W+2)'(price_q) - $signed({2'b0, collar_ticks});
        high_q   <= (PRICE_W+2)'(price_q) + $signed({2'b0, collar_ticks});
        oldest_q <= $signed({2'b0, at_q}) - $signed({2'b0, age_max_ns});
        // price < reference - collar is price + collar < reference, and the other side likewise
        below_q   <= high_q < (PRICE_W+2)'(ref_q);
        above_q   <= low_q > (PRICE_W+2)'(ref_q);
        older_q     <= $signed(oldest_q[64:32]) > $signed({2'b0, marked_q[62:32]});
        same_q      <= oldest_q[64:32] == {2'b0, marked_q[62:32]};
        low_older_q <= oldest_q[31:0] > marked_q[31:0];
        if (!present || collar_unlimited) begin
            below_q <= 1'b0;
            above_q <= 1'b0;
        end
        if (!present || age_unlimited) begin
            older_q <= 1'b0;
            same_q  <= 1'b0;
        end

        if (rst) write_q <= 1'b0;
        if (rst) forget_q <= 1'b0;
        if (rst) at_q <= '1;  // so that synthesis keeps it apart from other copies of an order's time
    end

`ifdef FORMAL
    // One listing, any: its order sees the last reference before it, and the answers are those of plain arithmetic.
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    (* anyconst *) logic [SLOT_W-1:0] any_slot;
    logic             filled_q, load_q;  // the row has been written since the reset
    logic [ROW_W-1:0] kept_q, seen_q;    // the last reference; what the order at hand saw of it
    logic [2:0]       since_q;           // clocks since `look`, up to 4; 0: no order
    logic             seen_filled_q;
    logic [PRICE_W-1:0] collar_q;
    logic [62:0]        age_max_q;
    logic               free_q, ageless_q;
    wire logic [ROW_W-1:0] row = table_q[any_slot];
    wire logic             writing = write_q && write_slot_q == any_slot;
    wire logic             marked = mark && !clear && s_ref_slot == any_slot;
    wire logic             dropped = drop && known_slot == any_slot;  // the reference goes at this edge, or at the next
    wire logic             told = cfg_done && cfg_index == any_slot;
    always_ff @(posedge clk) begin
        if (marked) kept_q <= {s_ref_has_price, s_ref_price_ticks, s_ref_at_ns[62:0]};
        if (told) kept_q <= {cfg_has_price, cfg_price_ticks, cfg_at_ns};
        if (dropped || clear && clear_slot == any_slot) kept_q <= '0;
        if (marked || told || dropped || clear && clear_slot == any_slot) filled_q <= 1'b1;
        load_q <= load;
        // An order of a listing that is just forgotten is refused for that.
        if (load) {seen_filled_q, seen_q} <= {filled_q && !(forget_q && forget_slot_q == any_slot), kept_q};
        since_q <= load ? 3'd0 : look ? 3'd1 : since_q == 0 || since_q == 4 ? since_q : since_q + 1'b1;
        {collar_q, age_max_q, free_q, ageless_q} <= {collar_ticks, age_max_ns, collar_unlimited, age_unlimited};
        if (rst) {filled_q, load_q, since_q, seen_filled_q} <= '0;
    end
    wire logic signed [PRICE_W+1:0] apart = (PRICE_W+2)'(price_q) - $signed(seen_q[63 +: PRICE_W]);
    wire logic signed [PRICE_W+1:0] far = apart < 0 ? -apart : apart;
    wire logic signed [64:0] age = $signed({2'b0, at_q}) - $signed({2'b0, seen_q[62:0]});
    wire logic has = seen_q[ROW_W-1];
    always_comb begin
        assume (!(clear && s_ref_tvalid));
        // References keep one edge between them, and so do the writes of listings; no order is taken at the edge of one.
        assume (!(load && drop) && !(forget_q && (s_ref_tvalid || known_write || clear)));
        assume (!look || load_q && !load && !rst);
        assume (since_q == 0 || since_q > 2 || !load);
        if (since_q > 1) begin
            assume ({collar_ticks, age_max_ns} == {collar_q, age_max_q});
            assume ({collar_unlimited, age_unlimited} == {free_q, ageless_q});
        end
        if (ran_q) begin
            stored: assert (!filled_q || forget_q && forget_slot_q == any_slot || (writing ? write_row_q : row) == kept_q);
            clocks: assert (since_q <= 4);
            if (since_q > 2 && seen_filled_q && slot_q == any_slot) begin
                there:  assert (present == has);
                collar: assert (outside == (has && !collar_unlimited && far > $signed({2'b0, collar_ticks})));
            end
        end
    end
`endif
`ifdef FORMAL_AGE
    always_comb if (ran_q && since_q > 2 && seen_filled_q && slot_q == any_slot) begin
        aged: assert (too_old == (has && !age_unlimited && age > $signed({2'b0, age_max_ns})));
    end
`endif
endmodule
`default_nettype wire
