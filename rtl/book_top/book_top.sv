// SPDX-License-Identifier: Apache-2.0
// Book: every update of the market in, the best bid and ask of its listing slot out.
//
// A slot's best prices are either known exactly or not at all (m_top_known). Of each side the LEVELS best levels are kept
// (book_side), and every open order by its ref (order_store). What contradicts them, or needs what is no longer kept, leaves
// the slot unknown and is counted by its first cause; an unknown slot skips all updates but QUOTE and CLEAR, which make it
// known again. After reset all slots are unknown. Crossed prices are passed on as they are.
//   malformed     kind, slot, side, price or lots make no sense
//   skipped       the slot was unknown already
//   poison        the feed said so
//   orphan        REDUCE, DELETE, REPLACE of a ref that is not kept
//   inconsistent  ADD, REPLACE with a ref that is there; more to be taken away than there is
//   full          no free way for the order's ref
//   exhausted     a side's last kept level went, and worse ones had been cut off
//   range         a level's lots do not fit BOOK_QTY_W
//
// A host rolls a slot to another contract with cfg_slot_clear: it is unknown and has no orders. cfg_slot_read fetches its
// best prices. cfg_slot_begin does what clear does, and then has the slot known with an empty book: for a feed that never says
// so itself. Each is done between updates, within 9 clocks of the pulse whatever the back-pressure (longer only while tables
// are cleared or swept); sts_hold is high meanwhile, and the next pulse has to wait for it. Updates of the slot that were taken
// before a begin was done, and whose tops were not offered yet, still find it unknown (but QUOTE and CLEAR, as ever).
//
// Latency, from an update's transfer to its top's offer: QUOTE, LEVEL, ADD, CLEAR, POISON 4 clocks; REDUCE, DELETE, SET of a
// new ref 6; REPLACE, SET of a kept ref 8. One DELETE per 3 clocks, one REPLACE, SET, QUOTE or CLEAR per 5, one of the others
// per 4; one of 4-clock latency right after one of another waits 2 clocks more, and so does what follows it. Tables are cleared
// after reset for SETS or 2**SLOT_W clocks, and swept for a little more than both once a slot has forgotten its orders
// 2**GEN_W - 1 times; meanwhile tready is low. s_update_tready and all of m_top_ are registers.
`default_nettype none
module book_top #(
    parameter int SLOTS      = 256,
    parameter int LEVELS     = 4,     // kept levels of a side, 2 or more
    parameter int ORDERS     = 4096,  // kept orders; WAYS times a power of 2
    parameter int WAYS       = 4,     // orders with refs of one hash value
    parameter int GEN_W      = 6,     // bits of the number that tells a slot's forgotten orders from its open ones
    parameter int PRICE_W    = 32,    // bits of a signed price, ticks
    parameter int BOOK_QTY_W = 32,    // bits of the lots of a level or an order
    parameter int COUNT_W    = 32,    // bits of the counters, which stop at their largest value
    parameter int SLOT_W     = SLOTS > 1 ? $clog2(SLOTS) : 1
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic                      s_update_tvalid,
    output      logic                      s_update_tready,
    input  wire logic [3:0]                s_update_kind,       // tick_pkg UPDATE_…
    input  wire logic [SLOT_W-1:0]         s_update_slot,
    input  wire logic [1:0]                s_update_side,       // 1 buy, 2 sell
    input  wire logic                      s_update_has_price,
    input  wire logic signed [PRICE_W-1:0] s_update_price_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     s_update_lots,
    input  wire logic                      s_update_has_ask,    // this and the next two of a quote alone
    input  wire logic signed [PRICE_W-1:0] s_update_ask_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     s_update_ask_lots,
    input  wire logic [63:0]               s_update_order_ref,
    input  wire logic [63:0]               s_update_new_ref,
    input  wire logic [63:0]               s_update_at_ns,
    input  wire logic [31:0]               s_update_stamp,

    output      logic                      m_top_tvalid,
    input  wire logic                      m_top_tready,
    output      logic [SLOT_W-1:0]         m_top_slot,
    output      logic                      m_top_known,         // low: the six below say nothing
    output wire logic                      m_top_has_bid,
    output wire logic signed [PRICE_W-1:0] m_top_bid_ticks,     // any value without has_bid
    output wire logic [BOOK_QTY_W-1:0]     m_top_bid_lots,
    output wire logic                      m_top_has_ask,
    output wire logic signed [PRICE_W-1:0] m_top_ask_ticks,
    output wire logic [BOOK_QTY_W-1:0]     m_top_ask_lots,
    output      logic [63:0]               m_top_at_ns,
    output      logic [31:0]               m_top_stamp,

    input  wire logic [SLOT_W-1:0]         cfg_slot_index,
    input  wire logic                      cfg_slot_clear,      // one clock: the slot is unknown and has no orders
    input  wire logic                      cfg_slot_begin,      // one clock: the same, and then it is known and empty
    input  wire logic                      cfg_slot_read,       // one clock: show the slot in sts_slot_…
    output wire logic                      sts_hold,
    output      logic                      sts_slot_state_known,
    output      logic                      sts_slot_state_has_bid,
    output      logic signed [PRICE_W-1:0] sts_slot_bid_ticks,
    output      logic [BOOK_QTY_W-1:0]     sts_slot_bid_lots,
    output      logic                      sts_slot_state_has_ask,
    output      logic signed [PRICE_W-1:0] sts_slot_ask_ticks,
    output      logic [BOOK_QTY_W-1:0]     sts_slot_ask_lots,
    output wire logic [16:0]               sts_known_slots,     // how many are known now
    output      logic [COUNT_W-1:0]        sts_update_count,
    output      logic [COUNT_W-1:0]        sts_roll_count,
    output      logic [COUNT_W-1:0]        sts_skipped_count,
    output      logic [COUNT_W-1:0]        sts_malformed_count,
    output      logic [COUNT_W-1:0]        sts_poison_count,
    output      logic [COUNT_W-1:0]        sts_orphan_count,
    output      logic [COUNT_W-1:0]        sts_full_count,
    output      logic [COUNT_W-1:0]        sts_inconsistent_count,
    output      logic [COUNT_W-1:0]        sts_range_count,
    output      logic [COUNT_W-1:0]        sts_exhausted_count
);
    localparam int SETS    = ORDERS / WAYS;
    localparam int SET_W   = $clog2(SETS);
    localparam int CLEAR_W = (SET_W > SLOT_W ? SET_W : SLOT_W) + 1;
    localparam logic [CLEAR_W-1:0] CLEAR_LAST = {1'b0, {(CLEAR_W-1){1'b1}}};
    localparam logic [CLEAR_W-1:0] SWEEP_LAST = CLEAR_W'(SETS - 1);
    localparam logic [GEN_W-1:0]   GEN_LAST   = '1;

    localparam logic [1:0] SIDE_BUY = 2'd1, SIDE_SELL = 2'd2;
    localparam logic [2:0] MODE_CLEAR = 3'd0, MODE_RUN = 3'd1, MODE_SWEEP = 3'd2, MODE_DRAIN = 3'd3, MODE_GENS = 3'd4;
    // An update comes to A_FIRST; one that needs the order with its ref goes on through A_FETCH and A_FOUND.
    localparam logic [2:0] A_IDLE = 3'd0, A_FIRST = 3'd1, A_FETCH = 3'd2, A_FOUND = 3'd3, A_ENTER = 3'd4, A_LOCK = 3'd5;
    localparam logic [2:0] B_IDLE = 3'd0, B_COMPARE = 3'd1, B_UPDATE = 3'd2, B_COMPARE_2 = 3'd3, B_UPDATE_2 = 3'd4;

    initial begin
        if (SLOTS < 1 || SLOTS > (1 << SLOT_W) || SLOT_W > 16)
            $fatal(1, "%m: SLOTS=%0d, wanted 1 to 2**SLOT_W, SLOT_W=%0d up to 16", SLOTS, SLOT_W);
        if (GEN_W < 1) $fatal(1, "%m: GEN_W=%0d, wanted 1 or more", GEN_W);
        if (LEVELS < 2) $fatal(1, "%m: LEVELS=%0d, wanted 2 or more", LEVELS);
    end

    logic [2:0]         mode_q, a_q, b_q;
    logic [CLEAR_W-1:0] clear_q;      // the set or slot that is cleared or swept
    logic               sweep_due_q;  // a slot has its last generation

    // ------------------------------------------------------------------ the update that was taken
    logic [3:0]                a_kind_q;
    logic [SLOT_W-1:0]         a_slot_q;
    logic [1:0]                a_side_q;
    logic                      a_has_price_q, a_has_ask_q;
    logic signed [PRICE_W-1:0] a_price_ticks_q, a_ask_ticks_q;
    logic [BOOK_QTY_W-1:0]     a_lots_q, a_ask_lots_q;
    logic [63:0]               a_ref_q, a_new_ref_q, a_at_ns_q;
    logic [31:0]               a_stamp_q;
    logic                      a_searches_q, a_replace_q, a_reduce_q, a_delete_q, a_set_q;  // by its kind
    logic [GEN_W-1:0]          a_gen_q;
    logic                      a_open_q, a_loads_q, load_q;  // the row that is held is not the one that this update wants
    logic                      a_before_q;    // the host has its slot begin: this update came before and is skipped
    logic                      enter_known_q; // the slot of what is entered late is known
    logic                      a_no_lots_q, a_in_range_q, a_begins_q, a_quote_q, a_odd_q;

    // the same, as the levels need it
    logic [SLOT_W-1:0]         b_slot_q;
    logic [63:0]               b_at_ns_q;
    logic [31:0]               b_stamp_q;
    logic                      b_in_range_q, b_malformed_q, b_poison_q, b_begin_q, b_orphan_q, b_over_q;
    logic                      b_add_q;                            // ADD: the store answers while the levels move
    logic                      b_enters_q, b_twin_q, b_full_q;     // REPLACE, SET: what the store answered
    logic                      b_two_q;                            // take away at one price, then add at another
    logic                      b_next_buy_q;
    logic [1:0]                b_op_add_q, b_op_set_q, b_op_zero_q, b_op_take_q;  // of bids, asks
    logic signed [PRICE_W-1:0] b_ticks_q, b_next_ticks_q;
    logic [BOOK_QTY_W-1:0]     b_lots_q, b_next_lots_q;
    logic                      b_missing_q, b_exhausted_q;         // of the first of two operations
    logic                      b_known_q, b_was_known_q;
    logic                      store_q;                            // the row is to be written
    logic                      write_q, write_end_q, write_begin_q;  // so is the slot's state: unknown, begun, with orders
    logic                      row_valid_q;                        // the row that is held is that of b_slot_q; low: skip
    logic                      free_q;                             // the output is free
    logic                      go_q;                               // the update moves on to the levels
    logic                      b_moves_q, b_last_q;                // levels move, for the last time

    // ------------------------------------------------------------------ slots: {known, dirty, generation}
    logic [GEN_W+1:0]          slots_q [0:(1<<SLOT_W)-1];
    logic [GEN_W-1:0]          gens_q [0:(1<<SLOT_W)-1];
    logic                      roll_q, roll_begin_q, roll_ready_q, read_q, peek_q;
    logic                      empty_q;  // the row of index_q is to be emptied
    logic [SLOT_W-1:0]         index_q;

    wire logic run     = mode_q == MODE_RUN;
    wire logic b_idle  = b_q == B_IDLE;
    // The host comes between updates: before one that waits for its output as well.
    wire logic host_may = run && a_q != A_ENTER && !write_q && !store_q && (b_idle || b_q == B_COMPARE && !free_q);
    wire logic host_rolls = roll_q && roll_ready_q && (b_idle || !free_q);
    wire logic host_begins = host_rolls && roll_begin_q;
    wire logic host_peeks = read_q && host_may && !roll_q;

    // A slot's state is read a clock before it is needed; what is written in that clock is never what is read.
    wire logic [GEN_W+1:0]  a_state = slots_q[a_slot_q];
    wire logic [GEN_W+1:0]  state = slots_q[b_slot_q];
    wire logic              known = state[GEN_W+1];
    logic                   known_q, dirty_q;
    logic [GEN_W-1:0]       gen_q;
    wire logic [GEN_W-1:0]  next_gen = gen_q == GEN_LAST ? GEN_LAST : gen_q + 1'b1;
    logic                   gen_last_q, next_last_q;
    logic [GEN_W-1:0]       next_gen_q;  // of gen_q a clock ago, when it was the same

    wire logic [SLOT_W-1:0] host_slot  = mode_q == MODE_GENS ? clear_q[SLOT_W-1:0] : index_q;
    wire logic [GEN_W+1:0]  host_state = slots_q[host_slot];
    logic                   gens_write_q, host_known_q, host_dirty_q;
    logic [GEN_W-1:0]       host_gen_q;
    logic [SLOT_W-1:0]      host_slot_q;
    wire logic [GEN_W-1:0]  host_next_gen = host_gen_q == GEN_LAST ? GEN_LAST : host_gen_q + 1'b1;
    logic                   host_next_last_q, roll_wait_q;
    logic [GEN_W-1:0]       host_next_gen_q;

    always_ff @(posedge clk) begin
        {known_q, dirty_q, gen_q} <= state;
        {host_known_q, host_dirty_q, host_gen_q} <= host_state;
        host_slot_q  <= host_slot;
        gens_write_q <= mode_q == MODE_GENS && !rst;
        next_gen_q       <= next_gen;
        gen_last_q       <= gen_q == GEN_LAST;
        next_last_q      <= next_gen == GEN_LAST;
        host_next_gen_q  <= host_next_gen;
        host_next_last_q <= host_next_gen == GEN_LAST;
        roll_wait_q  <= roll_q && !write_q && run;  // after tables were swept the slot's state is read again
        roll_ready_q <= roll_q && roll_wait_q && run && !write_q
                     && (b_idle && !go_q || b_q == B_COMPARE && !free_q && a_q != A_ENTER);  // no update moves on meanwhile
    end

    wire logic              slot_write;
    wire logic [SLOT_W-1:0] slot_write_slot;
    wire logic [GEN_W+1:0]  slot_write_state;

    // ------------------------------------------------------------------ stage A: take, look the order up
    wire logic take = s_update_tvalid && s_update_tready;

    wire logic is_search = s_update_kind == tick_pkg::UPDATE_REDUCE || s_update_kind == tick_pkg::UPDATE_DELETE
                        || s_update_kind == tick_pkg::UPDATE_REPLACE || s_update_kind == tick_pkg::UPDATE_SET;
    wire logic is_begin  = s_update_kind == tick_pkg::UPDATE_QUOTE || s_update_kind == tick_pkg::UPDATE_CLEAR;

    // The row that will be held when this update comes to it is newer than the one that is read.
    wire logic loads = is_begin || !(a_q == A_FOUND ? s_update_slot == a_slot_q && !a_before_q
                                                             : s_update_slot == b_slot_q && row_valid_q);

    // What the next clock will be. No take may follow the write of a slot that begins before it is clear whether a sweep is
    // due: an order would be entered with the last generation. What follows another write enters nothing in that slot.
    wire logic b_idle_d = b_last_q || b_idle && !go_q;
    wire logic found_d  = a_q == A_FETCH || a_q == A_FOUND && !go_q;
    wire logic go_d     = b_idle_d && !roll_q && !read_q
                       && (take && !is_search || a_q == A_FIRST && !a_searches_q && !go_q || found_d);
    wire logic idle_d   = a_q == A_IDLE && !take || a_q == A_FOUND && go_q && !take && !a_replace_q && !a_set_q
                       || a_q == A_ENTER || a_q == A_LOCK && b_last_q;
    wire logic begin_sweeps = write_begin_q && (dirty_q ? next_last_q : gen_last_q);
    wire logic open_d   = idle_d || found_d && a_delete_q && b_idle_d && !roll_q && !read_q;
    wire logic ready_d  = open_d && run && !sweep_due_q && !begin_sweeps && !(b_last_q && b_begin_q) && !roll_begin_q;

    // Level, add and set name a side and a price, replace a price.
    wire logic is_sided = s_update_kind == tick_pkg::UPDATE_LEVEL || s_update_kind == tick_pkg::UPDATE_ADD
                       || s_update_kind == tick_pkg::UPDATE_SET;
    wire logic is_add   = a_kind_q == tick_pkg::UPDATE_ADD;
    wire logic is_level = a_kind_q == tick_pkg::UPDATE_LEVEL;
    wire logic no_lots  = a_no_lots_q;
    wire logic in_range = a_in_range_q;
    wire logic malformed =
        !a_in_range_q || a_odd_q || (is_add || a_searches_q && !a_delete_q) && a_no_lots_q;
    wire logic begins = a_begins_q && a_in_range_q;  // neither quote nor clear has more that can be wrong

    wire logic found, full, found_sell, found_short;
    wire logic signed [PRICE_W-1:0] found_ticks;
    wire logic [BOOK_QTY_W-1:0] found_lots;
    wire logic takes  = a_searches_q && found;  // something is taken from the level of the order that was found
    wire logic enters = a_replace_q && found || a_set_q;

    // What REPLACE and SET enter, they enter a clock after `go`; ADD as its levels move.
    wire logic enter_late = a_q == A_ENTER && b_enters_q && enter_known_q && !(a_replace_q && found) && (!full || found);
    wire logic enter_add  = b_last_q && b_add_q && b_was_known_q && !b_malformed_q && !found && !full;

    order_store #(
        .ORDERS(ORDERS), .WAYS(WAYS), .SLOT_W(SLOT_W), .GEN_W(GEN_W), .PRICE_W(PRICE_W), .BOOK_QTY_W(BOOK_QTY_W)
    ) store_i (
        .clk(clk), .rst(rst),
        .gen_write(slot_write), .gen_slot(slot_write_slot), .gen_value(slot_write_state[GEN_W-1:0]),
        .read(a_open_q || a_q == A_FIRST && a_replace_q), .read_next(a_q == A_FIRST),
        .read_ref(s_update_order_ref), .next_ref(s_update_new_ref),
        .fetch(a_q == A_FIRST || a_q == A_FETCH && a_replace_q || !run),
        .fetch_rest(a_q == A_FIRST),
        .compare(a_q == A_FETCH || a_q == A_LOCK && b_q == B_COMPARE || go_q && a_replace_q || !run),
        .compare_next(run && a_q == A_FOUND),
        .ref_of(a_ref_q), .slot(a_slot_q), .gen(a_gen_q), .less_lots(a_lots_q),
        .change(a_q == A_FOUND && !a_set_q), .change_all(!a_reduce_q || !run), .change_read(a_open_q),
        .inserting(a_q == A_ENTER || a_q == A_LOCK), .insert(enter_late || enter_add), .insert_gen(a_gen_q),
        .insert_sell(a_replace_q ? !b_next_buy_q : a_side_q == SIDE_SELL),
        .insert_ticks(a_price_ticks_q), .insert_lots(a_lots_q),
        .clear(mode_q == MODE_CLEAR), .sweep(mode_q == MODE_SWEEP), .sweep_set(clear_q[SET_W-1:0]),
        .found(found), .full(full), .found_sell(found_sell), .found_ticks(found_ticks), .found_lots(found_lots),
        .found_short(found_short)
    );

    always_ff @(posedge clk) begin
        if (a_open_q) begin  // whether or not there is one: nobody looks at it then
            a_kind_q        <= s_update_kind;
            a_slot_q        <= s_update_slot;
            a_side_q        <= s_update_side;
            a_has_price_q   <= s_update_has_price;
            a_price_ticks_q <= s_update_price_ticks;
            a_lots_q        <= s_update_lots;
            a_has_ask_q     <= s_update_has_ask;
            a_ask_ticks_q   <= s_update_ask_ticks;
            a_ask_lots_q    <= s_update_ask_lots;
            a_ref_q         <= s_update_order_ref;
            a_new_ref_q     <= s_update_new_ref;
            a_at_ns_q       <= s_update_at_ns;
            a_stamp_q       <= s_update_stamp;
            a_searches_q    <= is_search;
            a_no_lots_q     <= s_update_lots == '0;
            a_in_range_q    <= {1'b0, s_update_slot} < (SLOT_W + 1)'(SLOTS);
            a_begins_q      <= is_begin;
            a_quote_q       <= s_update_kind == tick_pkg::UPDATE_QUOTE;
            a_odd_q         <= s_update_kind < tick_pkg::UPDATE_QUOTE || s_update_kind > tick_pkg::UPDATE_POISON
                            || is_sided && s_update_side != SIDE_BUY && s_update_side != SIDE_SELL
                            || (is_sided || s_update_kind == tick_pkg::UPDATE_REPLACE) && !s_update_has_price;
            a_replace_q     <= s_update_kind == tick_pkg::UPDATE_REPLACE;
            a_reduce_q      <= s_update_kind == tick_pkg::UPDATE_REDUCE;
            a_delete_q      <= s_update_kind == tick_pkg::UPDATE_DELETE;
            a_set_q         <= s_update_kind == tick_pkg::UPDATE_SET;
            a_loads_q       <= loads;
        end else if (a_q == A_FETCH && a_replace_q) a_ref_q <= a_new_ref_q;  // the second look-up
        if (a_open_q) a_before_q <= 1'b0;
        else if (host_begins && a_slot_q == host_slot_q) a_before_q <= 1'b1;
        if (a_q == A_FIRST) a_gen_q <= gens_q[a_slot_q];
        enter_known_q <= a_state[GEN_W+1] && !(write_end_q && b_slot_q == a_slot_q);
        go_q            <= go_d;
        load_q          <= go_d && (a_open_q ? loads : a_loads_q);
        s_update_tready <= ready_d;
        a_open_q        <= open_d;  // what is held may be replaced

        case (a_q)
            A_IDLE:  if (take) a_q <= A_FIRST;
            A_FIRST: if (a_searches_q) a_q <= A_FETCH; else if (go_q) a_q <= A_LOCK;
            A_FETCH: a_q <= A_FOUND;
            A_FOUND: if (go_q) a_q <= take ? A_FIRST : a_replace_q || a_set_q ? A_ENTER : A_IDLE;
            A_ENTER: a_q <= A_IDLE;
            default: if (b_last_q) a_q <= A_IDLE;
        endcase
        if (rst) begin
            a_q  <= A_IDLE;
            go_q <= 1'b0;
            load_q <= 1'b0;
            s_update_tready <= 1'b0;
            a_open_q <= 1'b0;
        end
    end

    // ------------------------------------------------------------------ stage B: the levels
    wire logic [SLOT_W-1:0] row_slot = read_q ? index_q : a_q == A_IDLE ? s_update_slot : a_slot_q;
    wire logic [SLOT_W-1:0] store_row = store_q ? b_slot_q : mode_q == MODE_CLEAR ? clear_q[SLOT_W-1:0] : index_q;
    wire logic [1:0] missing, range, exhausted, wrongs;
    wire logic read_has_bid, read_has_ask;
    wire logic signed [PRICE_W-1:0] read_bid_ticks, read_ask_ticks;
    wire logic [BOOK_QTY_W-1:0] read_bid_lots, read_ask_lots;

    book_side #(
        .BUY(1), .LEVELS(LEVELS), .SLOT_W(SLOT_W), .PRICE_W(PRICE_W), .BOOK_QTY_W(BOOK_QTY_W)
    ) bids_i (
        .clk(clk), .read_slot(row_slot),
        .store(store_q), .clear(mode_q == MODE_CLEAR || empty_q), .store_slot(store_row),
        .load(load_q), .load_quote(a_begins_q),
        .quote_has(a_quote_q && a_has_price_q && !no_lots), .quote_ticks(a_price_ticks_q), .quote_lots(a_lots_q),
        .op_add(b_op_add_q[0]), .op_set(b_op_set_q[0]), .op_zero(b_op_zero_q[0]),
        .op_take(b_op_take_q[0]), .op_ticks(b_ticks_q), .op_lots(b_lots_q),
        .update(b_moves_q),
        .best_has(m_top_has_bid), .best_ticks(m_top_bid_ticks), .best_lots(m_top_bid_lots),
        .missing(missing[0]), .range(range[0]), .exhausted(exhausted[0]), .wrong(wrongs[0]),
        .read_has(read_has_bid), .read_ticks(read_bid_ticks), .read_lots(read_bid_lots)
    );
    book_side #(
        .BUY(0), .LEVELS(LEVELS), .SLOT_W(SLOT_W), .PRICE_W(PRICE_W), .BOOK_QTY_W(BOOK_QTY_W)
    ) asks_i (
        .clk(clk), .read_slot(row_slot),
        .store(store_q), .clear(mode_q == MODE_CLEAR || empty_q), .store_slot(store_row),
        .load(load_q), .load_quote(a_begins_q),
        .quote_has(a_quote_q && a_has_ask_q && a_ask_lots_q != '0), .quote_ticks(a_ask_ticks_q), .quote_lots(a_ask_lots_q),
        .op_add(b_op_add_q[1]), .op_set(b_op_set_q[1]), .op_zero(b_op_zero_q[1]),
        .op_take(b_op_take_q[1]), .op_ticks(b_ticks_q), .op_lots(b_lots_q),
        .update(b_moves_q),
        .best_has(m_top_has_ask), .best_ticks(m_top_ask_ticks), .best_lots(m_top_ask_lots),
        .missing(missing[1]), .range(range[1]), .exhausted(exhausted[1]), .wrong(wrongs[1]),
        .read_has(read_has_ask), .read_ticks(read_ask_ticks), .read_lots(read_ask_lots)
    );

    // What is wrong, all of it known in the last clock: the first that holds is the cause.
    wire logic twin   = b_add_q && found || b_twin_q || b_over_q;
    wire logic no_way = b_add_q && full || b_full_q;
    wire logic any_missing   = |missing || b_missing_q;
    wire logic any_exhausted = |exhausted || b_exhausted_q;
    wire logic skipped = !b_was_known_q && !b_begin_q;
    wire logic early_wrong = b_poison_q || b_orphan_q || b_over_q || b_twin_q || b_full_q || b_missing_q || b_exhausted_q;
    wire logic late_wrong  = |wrongs || b_add_q && (found || full);
    wire logic lost = b_was_known_q && (b_malformed_q || !b_begin_q && (early_wrong || late_wrong));

    // A slot's state is written a clock later, before the next update reads it.
    wire logic joined = b_was_known_q && !b_begin_q && (b_add_q || b_enters_q);  // it may have orders from now on
    assign slot_write = mode_q == MODE_CLEAR || gens_write_q && host_gen_q == GEN_LAST || host_rolls || write_q;
    assign slot_write_slot = mode_q == MODE_CLEAR ? clear_q[SLOT_W-1:0] : write_q ? b_slot_q : host_slot_q;
    assign slot_write_state =
        mode_q == MODE_CLEAR ? '0 :
        gens_write_q         ? {host_known_q, host_dirty_q, {GEN_W{1'b0}}} :
        !write_q             ? {roll_begin_q, 1'b0, host_next_gen_q} :
        write_end_q          ? {2'b00, next_gen_q} :
        write_begin_q        ? {2'b10, dirty_q ? next_gen_q : gen_q} : {2'b11, gen_q};

    always_ff @(posedge clk) begin
        if (slot_write) slots_q[slot_write_slot] <= slot_write_state;
        if (slot_write) gens_q[slot_write_slot] <= slot_write_state[GEN_W-1:0];
    end

    always_ff @(posedge clk) begin
        if (go_q) begin
            b_slot_q      <= a_slot_q;
            b_at_ns_q     <= a_at_ns_q;
            b_stamp_q     <= a_stamp_q;
            b_in_range_q  <= in_range;
            b_malformed_q <= malformed;
            b_begin_q     <= begins;
            b_poison_q    <= a_kind_q == tick_pkg::UPDATE_POISON;
            b_orphan_q    <= a_searches_q && !a_set_q && !found;
            b_over_q      <= a_reduce_q && found_short;
            b_add_q       <= is_add;
            b_enters_q    <= enters && !malformed;
            b_two_q       <= takes && enters;
            b_op_add_q    <= {2{is_add || a_set_q && !found}} & a_side_q;
            b_op_set_q    <= {2{is_level && !no_lots}} & a_side_q;
            b_op_zero_q   <= {2{is_level && no_lots}} & a_side_q;
            b_op_take_q   <= {takes && found_sell, takes && !found_sell};
            b_ticks_q     <= a_searches_q && (!a_set_q || found) ? found_ticks : a_price_ticks_q;
            b_lots_q      <= a_delete_q || a_replace_q || a_set_q && found ? ~found_lots : a_lots_q ^ {BOOK_QTY_W{a_reduce_q}};  // TAKE: complement
            b_next_buy_q  <= a_set_q ? a_side_q == SIDE_BUY : !found_sell;
            b_next_ticks_q <= a_price_ticks_q;
            b_next_lots_q  <= a_lots_q;
        end else if (b_q == B_UPDATE) begin
            b_op_add_q  <= {!b_next_buy_q, b_next_buy_q};
            b_op_take_q <= 2'b00;
            b_ticks_q   <= b_next_ticks_q;
            b_lots_q    <= b_next_lots_q;
        end

        if (go_q) {b_twin_q, b_full_q} <= 2'b00;
        else if (a_q == A_ENTER) {b_twin_q, b_full_q} <= {b_enters_q && a_replace_q && found, b_enters_q && full && !found};
        if (go_q) {b_missing_q, b_exhausted_q} <= 2'b00;
        else if (b_moves_q) {b_missing_q, b_exhausted_q} <= {|missing, |exhausted};

        if (b_q == B_COMPARE) begin
            b_was_known_q <= known && b_in_range_q && row_valid_q;
            b_known_q     <= (known && b_in_range_q && row_valid_q || b_begin_q) && !b_malformed_q;
        end
        if (b_last_q) begin
            m_top_slot  <= b_slot_q;
            m_top_at_ns <= b_at_ns_q;
            m_top_stamp <= b_stamp_q;
            m_top_known <= b_known_q && (b_begin_q || !early_wrong && !late_wrong);
        end

        b_moves_q <= b_q == B_COMPARE && free_q || b_q == B_COMPARE_2;
        b_last_q  <= b_q == B_COMPARE && free_q && !b_two_q || b_q == B_COMPARE_2;

        if (b_last_q) m_top_tvalid <= 1'b1;
        else if (m_top_tready) m_top_tvalid <= 1'b0;
        free_q  <= !b_last_q && (!m_top_tvalid || m_top_tready);
        store_q <= b_last_q && row_valid_q;
        write_q       <= b_last_q && (lost || b_begin_q || joined);
        write_end_q   <= b_last_q && lost;
        write_begin_q <= b_last_q && b_begin_q;
        // What was begun stays empty: neither is the row used that is held of it, nor written back, but that of a quote.
        if (go_q) row_valid_q <= !a_before_q || begins;
        else if (host_begins && b_slot_q == host_slot_q && (b_idle || !b_begin_q)) row_valid_q <= 1'b0;

        case (b_q)
            B_IDLE:      if (go_q) b_q <= B_COMPARE;
            B_COMPARE:   if (free_q) b_q <= B_UPDATE;
            B_UPDATE:    b_q <= b_two_q ? B_COMPARE_2 : B_IDLE;
            B_COMPARE_2: b_q <= B_UPDATE_2;
            default:     b_q <= B_IDLE;
        endcase

        if (rst) begin
            b_q          <= B_IDLE;
            b_moves_q    <= 1'b0;
            b_last_q     <= 1'b0;
            m_top_tvalid <= 1'b0;
            free_q       <= 1'b1;
            store_q      <= 1'b0;
            write_q       <= 1'b0;
            write_end_q   <= 1'b0;
            write_begin_q <= 1'b0;
            row_valid_q  <= 1'b0;
        end
    end

    // ------------------------------------------------------------------ clearing, sweeping, the host
    always_ff @(posedge clk) begin
        clear_q <= clear_q + 1'b1;
        case (mode_q)
            MODE_CLEAR: if (clear_q == CLEAR_LAST) mode_q <= MODE_RUN;
            MODE_RUN:
                if (sweep_due_q && !s_update_tready && a_q == A_IDLE && b_idle && !store_q && !write_q) begin
                    mode_q  <= MODE_SWEEP;
                    clear_q <= '0;
                end
            MODE_SWEEP:
                if (clear_q == SWEEP_LAST) begin
                    mode_q  <= MODE_DRAIN;
                    clear_q <= '0;
                end
            MODE_DRAIN:
                if (clear_q[1:0] == 2'd2) begin
                    mode_q  <= MODE_GENS;
                    clear_q <= '0;
                end
            default: if (clear_q[SLOT_W-1:0] == '1) mode_q <= MODE_RUN;
        endcase
        if (begin_sweeps || write_end_q && next_last_q || host_rolls && host_next_last_q) sweep_due_q <= 1'b1;
        else if (mode_q == MODE_SWEEP) sweep_due_q <= 1'b0;

        if (cfg_slot_clear || cfg_slot_begin) roll_q <= 1'b1;
        else if (host_rolls) roll_q <= 1'b0;
        if (cfg_slot_begin) roll_begin_q <= {1'b0, cfg_slot_index} < (SLOT_W + 1)'(SLOTS);
        else if (host_rolls) roll_begin_q <= 1'b0;
        empty_q <= host_begins;
        if (cfg_slot_read) read_q <= 1'b1;
        else if (host_peeks) read_q <= 1'b0;
        if (cfg_slot_clear || cfg_slot_begin || cfg_slot_read) index_q <= cfg_slot_index;

        peek_q <= host_peeks;
        if (host_peeks) sts_slot_state_known <= host_state[GEN_W+1];
        if (peek_q) begin
            {sts_slot_state_has_bid, sts_slot_bid_ticks, sts_slot_bid_lots} <= {read_has_bid, read_bid_ticks, read_bid_lots};
            {sts_slot_state_has_ask, sts_slot_ask_ticks, sts_slot_ask_lots} <= {read_has_ask, read_ask_ticks, read_ask_lots};
        end

        if (rst) begin
            mode_q      <= MODE_CLEAR;
            clear_q     <= '0;
            sweep_due_q <= 1'b0;
            roll_q      <= 1'b0;
            roll_begin_q <= 1'b0;
            empty_q     <= 1'b0;
            read_q      <= 1'b0;
            peek_q      <= 1'b0;
            sts_slot_state_known   <= 1'b0;
            sts_slot_state_has_bid <= 1'b0;
            sts_slot_state_has_ask <= 1'b0;
            sts_slot_bid_ticks <= '0;
            sts_slot_bid_lots  <= '0;
            sts_slot_ask_ticks <= '0;
            sts_slot_ask_lots  <= '0;
        end
    end
    assign sts_hold = roll_q || read_q || peek_q;

    // ------------------------------------------------------------------ counters: of all causes the first that holds
    // Found out in the clock after the last, while the update's own registers still stand.
    logic last_q, twin_q, no_way_q, missing_q, exhausted_q, range_q;
    wire logic counts = last_q && !b_malformed_q && !skipped && !b_begin_q;
    wire logic levels_count = counts && !b_poison_q && !b_orphan_q && !twin_q && !no_way_q;
    wire logic [7:0] cause;
    assign cause[0] = last_q && !b_malformed_q && skipped;
    assign cause[1] = last_q && b_malformed_q;
    assign cause[2] = counts && b_poison_q;
    assign cause[3] = counts && b_orphan_q;
    assign cause[4] = counts && twin_q || levels_count && missing_q;
    assign cause[5] = counts && !twin_q && no_way_q;
    assign cause[6] = levels_count && exhausted_q && !missing_q;
    assign cause[7] = levels_count && range_q && !missing_q && !exhausted_q;
    logic [SLOT_W:0] known_slots_q;
    logic more_known_q, less_known_q;
    assign sts_known_slots = 17'(known_slots_q);

    logic [7:0] cause_q;

    always_ff @(posedge clk) begin
        cause_q        <= cause;
        last_q         <= b_last_q;
        twin_q         <= twin;
        no_way_q       <= no_way;
        missing_q      <= any_missing;
        exhausted_q    <= any_exhausted;
        range_q        <= |range;
        more_known_q   <= write_begin_q && !known_q || host_begins && !host_known_q;
        less_known_q   <= write_end_q && known_q || host_rolls && host_known_q && !roll_begin_q;
        known_slots_q  <= known_slots_q + (SLOT_W + 1)'(more_known_q) - (SLOT_W + 1)'(less_known_q);
        if (last_q && !(&sts_update_count)) sts_update_count <= sts_update_count + 1'b1;
        if (host_rolls && !(&sts_roll_count)) sts_roll_count <= sts_roll_count + 1'b1;
        if (cause_q[0] && !(&sts_skipped_count)) sts_skipped_count <= sts_skipped_count + 1'b1;
        if (cause_q[1] && !(&sts_malformed_count)) sts_malformed_count <= sts_malformed_count + 1'b1;
        if (cause_q[2] && !(&sts_poison_count)) sts_poison_count <= sts_poison_count + 1'b1;
        if (cause_q[3] && !(&sts_orphan_count)) sts_orphan_count <= sts_orphan_count + 1'b1;
        if (cause_q[4] && !(&sts_inconsistent_count)) sts_inconsistent_count <= sts_inconsistent_count + 1'b1;
        if (cause_q[5] && !(&sts_full_count)) sts_full_count <= sts_full_count + 1'b1;
        if (cause_q[6] && !(&sts_exhausted_count)) sts_exhausted_count <= sts_exhausted_count + 1'b1;
        if (cause_q[7] && !(&sts_range_count)) sts_range_count <= sts_range_count + 1'b1;
        if (rst) begin
            cause_q                <= '0;
            last_q                 <= 1'b0;
            known_slots_q        <= '0;
            more_known_q           <= 1'b0;
            less_known_q           <= 1'b0;
            sts_update_count       <= '0;
            sts_roll_count         <= '0;
            sts_skipped_count      <= '0;
            sts_malformed_count    <= '0;
            sts_poison_count       <= '0;
            sts_orphan_count       <= '0;
            sts_full_count         <= '0;
            sts_inconsistent_count <= '0;
            sts_range_count        <= '0;
            sts_exhausted_count    <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk(clk), .rst(rst), .ran_q(ran_q));
    axis_rules #(
        .WIDTH(4 + SLOT_W + 4 + 2 * PRICE_W + 2 * BOOK_QTY_W + 224), .ASSUME(1)
    ) s_update_i (
        .clk(clk), .rst(rst), .tvalid(s_update_tvalid), .tready(s_update_tready),
        .payload({s_update_kind, s_update_slot, s_update_side, s_update_has_price, s_update_has_ask, s_update_price_ticks,
                  s_update_ask_ticks, s_update_lots, s_update_ask_lots, s_update_order_ref, s_update_new_ref, s_update_at_ns,
                  s_update_stamp})
    );
    axis_rules #(
        .WIDTH(SLOT_W + 3 + 2 * PRICE_W + 2 * BOOK_QTY_W + 96)
    ) m_top_i (
        .clk(clk), .rst(rst), .tvalid(m_top_tvalid), .tready(m_top_tready),
        .payload({m_top_slot, m_top_known, m_top_has_bid, m_top_has_ask, m_top_bid_ticks, m_top_ask_ticks, m_top_bid_lots,
                  m_top_ask_lots, m_top_at_ns, m_top_stamp})
    );
    counter_rules #(.WIDTH(COUNT_W)) update_i (.clk(clk), .rst(rst), .count(sts_update_count));
    counter_rules #(.WIDTH(COUNT_W)) roll_i (.clk(clk), .rst(rst), .count(sts_roll_count));
    counter_rules #(.WIDTH(COUNT_W)) skipped_i (.clk(clk), .rst(rst), .count(sts_skipped_count));
    counter_rules #(.WIDTH(COUNT_W)) malformed_i (.clk(clk), .rst(rst), .count(sts_malformed_count));
    counter_rules #(.WIDTH(COUNT_W)) poison_i (.clk(clk), .rst(rst), .count(sts_poison_count));
    counter_rules #(.WIDTH(COUNT_W)) orphan_i (.clk(clk), .rst(rst), .count(sts_orphan_count));
    counter_rules #(.WIDTH(COUNT_W)) full_i (.clk(clk), .rst(rst), .count(sts_full_count));
    counter_rules #(.WIDTH(COUNT_W)) inconsistent_i (.clk(clk), .rst(rst), .count(sts_inconsistent_count));
    counter_rules #(.WIDTH(COUNT_W)) range_i (.clk(clk), .rst(rst), .count(sts_range_count));
    counter_rules #(.WIDTH(COUNT_W)) exhausted_i (.clk(clk), .rst(rst), .count(sts_exhausted_count));

    // Updates taken whose tops were not taken yet.
    logic [2:0] open_q;
    always_ff @(posedge clk) begin
        open_q <= open_q + 3'(take) - 3'(m_top_tvalid && m_top_tready);
        if (rst) open_q <= 3'd0;
    end

    // The host heeds sts_hold.
    always_comb assume (!sts_hold || !cfg_slot_clear && !cfg_slot_begin && !cfg_slot_read);

    always_comb if (ran_q) begin
        one_top:  assert (open_q == 3'(a_q == A_FIRST || a_q == A_FETCH || a_q == A_FOUND) + 3'(!b_idle) + 3'(m_top_tvalid));
        room:     assert (!m_top_tvalid || !free_q && !b_moves_q && b_q != B_COMPARE_2);
        loading:  assert ((!load_q || go_q) && (!s_update_tready || a_open_q));
        going:    assert (!go_q || b_idle && run && (a_q == A_FIRST && !a_searches_q || a_q == A_FOUND));
        ready:    assert (!s_update_tready || run && (a_q == A_IDLE || a_q == A_FOUND && go_q && a_delete_q));
        moving:   assert (b_moves_q == (b_q == B_UPDATE || b_q == B_UPDATE_2));
        last:     assert (b_last_q == (b_q == B_UPDATE && !b_two_q || b_q == B_UPDATE_2));
        places:   assert (a_q <= A_LOCK && b_q <= B_UPDATE_2 && mode_q <= MODE_GENS);
        locked:   assert (a_q != A_LOCK && a_q != A_ENTER || !b_idle);
        entering: assert (a_q != A_ENTER || b_q == B_COMPARE);
        written:  assert (!write_q || b_q == B_IDLE);
        resting:  assert (run || a_q == A_IDLE && b_idle && !write_q && !store_q);
        refilled: assert (!gens_write_q || mode_q == MODE_GENS || a_q == A_IDLE && b_idle && !roll_ready_q && !s_update_tready);
        emptied:  assert (!empty_q || mode_q != MODE_CLEAR && !store_q && !s_update_tready && !go_q);
        beginning: assert (!roll_begin_q || roll_q);
        one_write: assert (3'(mode_q == MODE_CLEAR) + 3'(gens_write_q) + 3'(host_rolls) + 3'(write_q) <= 3'd1);
    end
`endif
endmodule
`default_nettype wire
