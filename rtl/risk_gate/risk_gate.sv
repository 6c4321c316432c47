// SPDX-License-Identifier: Apache-2.0
// Pre-trade risk gate: one order in, one verdict out, as penstock_sdk.golden.risk_gate answers with the widths of this
// device (set_widths). The checks, the first that fails decides:
//
//   kill switch; pause of all trading; unknown listing; pause of the listing; form; widths; least and most lots; reference
//   present; floor and cap; collar; notional; position of each interval; message rate; age of the reference; duplicate id
//
// A passed order takes a message from the rate, its id is remembered, and its quantity counts as working. RESERVE, RELEASE
// and FILL change exposures; their verdict says what the function of that name returns, and is not counted.
//
// Everything is read and compared at once, and one last step chooses the reason. One order is inside at a time: it sees
// all that the orders before it did. The switches count at the edge that decides, everything else at the edge that takes
// the order: a table written from then on applies to later orders alone. Host writes are applied between orders, and
// sts_hold is high meanwhile; what is written must stand until it falls. A reset empties every table.
//
// Latency: 5 cycles for a listing of one interval, 7 + n for n intervals. One order per 5 cycles; where an order of n > 1
// intervals or a command changes exposures, n + 9 (FILL: 2n + 9) cycles more pass before the next, and 1 where it is refused.
// s_order_tready is combinational from m_verdict_tready.
`default_nettype none
module risk_gate #(
    parameter int SLOTS        = 256,   // listings
    parameter int INTERVALS    = 1024,  // delivery intervals
    parameter int LINKS        = 2048,  // second and further intervals of all listings
    parameter int PRICE_W      = 32,    // bits of a signed price in ticks
    parameter int QTY_W        = 24,    // bits of the lots
    parameter int NOTIONAL_W   = 56,    // bits of the notional limit, in ticks times lots
    parameter int KW_W         = 32,    // bits of a signed exposure
    parameter int KW_PER_LOT_W = 16,    // bits of what a lot adds to an exposure
    parameter int SEEN_SETS    = 256,   // hash values of remembered ids
    parameter int SEEN_WAYS    = 4,     // ids of one hash value
    parameter int TAG_W        = 64,    // bits carried along
    parameter int COUNT_W      = 32,    // bits of the counters, which stop at their largest value
    parameter int SLOT_W       = $clog2(SLOTS),      // not to be set
    parameter int INTERVAL_W   = $clog2(INTERVALS),  // not to be set
    parameter int LINK_W       = $clog2(LINKS),      // not to be set
    parameter int CLEAR_W      = 0      // bits of the cycles after a reset; 0: as many as the tables need. Proofs have fewer
) (
    input  wire logic                         clk,
    input  wire logic                         rst,  // synchronous, active high

    input  wire logic                         cfg_kill,    // 1: nothing passes
    input  wire logic                         cfg_paused,  // 1: likewise, for another reason

    input  wire logic                         cfg_listing_write,
    input  wire logic [SLOT_W-1:0]            cfg_listing_index,
    input  wire logic [1:0]                   cfg_listing_state,  // 0 unknown, 1 trading, 2 paused
    input  wire logic [QTY_W-1:0]             cfg_listing_qty_min_lots,
    input  wire logic [QTY_W-1:0]             cfg_listing_qty_max_lots,
    input  wire logic [PRICE_W-1:0]           cfg_listing_collar_ticks,  // 0: no price passes
    input  wire logic                         cfg_listing_collar_unlimited,
    input  wire logic                         cfg_listing_has_floor,
    input  wire logic signed [PRICE_W-1:0]    cfg_listing_floor_ticks,
    input  wire logic                         cfg_listing_has_cap,
    input  wire logic signed [PRICE_W-1:0]    cfg_listing_cap_ticks,
    input  wire logic                         cfg_listing_has_notional,  // 0: the limit is 0, nothing passes
    input  wire logic [NOTIONAL_W-1:0]        cfg_listing_notional_max_per_minute,  // of delivery; rounded down
    input  wire logic [KW_PER_LOT_W-1:0]      cfg_listing_kw_per_lot,
    input  wire logic                         cfg_listing_ref_required,
    input  wire logic                         cfg_listing_ref_age_unlimited,
    input  wire logic [62:0]                  cfg_listing_ref_age_max_ns,  // 0: nothing passes
    input  wire logic [INTERVAL_W-1:0]        cfg_listing_first_interval,
    input  wire logic [LINK_W-1:0]            cfg_listing_link,            // where the second interval stands
    input  wire logic [LINK_W-1:0]            cfg_listing_interval_count,

    input  wire logic                         cfg_link_write,
    input  wire logic [LINK_W-1:0]            cfg_link_index,
    input  wire logic [INTERVAL_W-1:0]        cfg_link_interval,

    input  wire logic                         cfg_interval_limit_write,
    input  wire logic                         cfg_interval_exposure_write,
    input  wire logic                         cfg_interval_read,
    input  wire logic [INTERVAL_W-1:0]        cfg_interval_index,
    input  wire logic [KW_W-2:0]              cfg_interval_long_max_kw,
    input  wire logic [KW_W-2:0]              cfg_interval_short_max_kw,
    input  wire logic signed [KW_W-1:0]       cfg_interval_net_kw,
    input  wire logic [KW_W-2:0]              cfg_interval_buy_working_kw,
    input  wire logic [KW_W-2:0]              cfg_interval_sell_working_kw,
    output      logic [KW_W-2:0]              sts_interval_stored_long_max_kw,  // the interval last read
    output      logic [KW_W-2:0]              sts_interval_stored_short_max_kw,
    output      logic signed [KW_W-1:0]       sts_interval_stored_net_kw,
    output      logic [KW_W-2:0]              sts_interval_stored_buy_working_kw,
    output      logic [KW_W-2:0]              sts_interval_stored_sell_working_kw,

    input  wire logic                         cfg_rate_write,
    input  wire logic [62:0]                  cfg_rate_ns_per_message,
    input  wire logic [62:0]                  cfg_rate_window_ns,  // (burst - 1) * ns_per_message, at most 2**63 - 1
    input  wire logic                         cfg_rate_none,       // burst is 0
    input  wire logic                         cfg_rate_unlimited,
    input  wire logic                         cfg_rate_empty_write,
    input  wire logic [62:0]                  cfg_rate_empty_ns,
    output wire logic [62:0]                  sts_rate_stored_empty_ns,

    input  wire logic                         cfg_reference_write,
    input  wire logic [SLOT_W-1:0]            cfg_reference_index,
    input  wire logic                         cfg_reference_has_price,
    input  wire logic signed [PRICE_W-1:0]    cfg_reference_price_ticks,
    input  wire logic [62:0]                  cfg_reference_at_ns,

    input  wire logic [5:0]                   cfg_count_index,  // a reason; 0 counts what passed
    output wire logic [COUNT_W-1:0]           sts_count,
    output wire logic                         sts_hold,         // write nothing now

    input  wire logic                         s_ref_tvalid,  // always taken, at most at every second edge
    input  wire logic [SLOT_W-1:0]            s_ref_slot,
    input  wire logic                         s_ref_has_price,
    input  wire logic signed [PRICE_W-1:0]    s_ref_price_ticks,
    input  wire logic [63:0]                  s_ref_at_ns,

    input  wire logic                         s_order_tvalid,
    output wire logic                         s_order_tready,
    input  wire logic [1:0]                   s_order_kind,
    input  wire logic [SLOT_W-1:0]            s_order_slot,
    input  wire logic [1:0]                   s_order_side,
    input  wire logic signed [PRICE_W-1:0]    s_order_price_ticks,
    input  wire logic [QTY_W-1:0]             s_order_lots,
    input  wire logic                         s_order_fits,
    input  wire logic [63:0]                  s_order_at_ns,
    input  wire logic [63:0]                  s_order_intent_id,
    input  wire logic [TAG_W-1:0]             s_order_tag,

    output      logic                         m_verdict_tvalid,
    input  wire logic                         m_verdict_tready,
    output      logic [1:0]                   m_verdict_kind,
    output      logic [7:0]                   m_verdict_reason,  // 0: passed, or done
    output      logic [SLOT_W-1:0]            m_verdict_slot,
    output      logic [1:0]                   m_verdict_side,
    output      logic signed [PRICE_W-1:0]    m_verdict_price_ticks,
    output      logic [QTY_W-1:0]             m_verdict_lots,
    output      logic [63:0]                  m_verdict_at_ns,
    output      logic [63:0]                  m_verdict_intent_id,
    output      logic [TAG_W-1:0]             m_verdict_tag
);
    localparam logic [7:0] NONE = penstock_pkg::REASON_NONE[7:0];
    localparam logic [7:0] KILL = penstock_pkg::REASON_KILL_SWITCH[7:0], PAUSED = penstock_pkg::REASON_PAUSED[7:0];
    localparam logic [7:0] LISTING = penstock_pkg::REASON_UNKNOWN_LISTING[7:0];
    localparam logic [7:0] QTY_MIN = penstock_pkg::REASON_QTY_MIN[7:0], QTY_MAX = penstock_pkg::REASON_QTY_MAX[7:0];
    localparam logic [7:0] COLLAR = penstock_pkg::REASON_PRICE_COLLAR[7:0];
    localparam logic [7:0] BOUNDS = penstock_pkg::REASON_PRICE_BOUNDS[7:0];
    localparam logic [7:0] NOTIONAL = penstock_pkg::REASON_NOTIONAL[7:0];
    localparam logic [7:0] POSITION = penstock_pkg::REASON_POSITION[7:0];
    localparam logic [7:0] RATE = penstock_pkg::REASON_MESSAGE_RATE[7:0];
    localparam logic [7:0] STALE = penstock_pkg::REASON_STALE_MARKET[7:0];
    localparam logic [7:0] DUPLICATE = penstock_pkg::REASON_DUPLICATE[7:0];
    localparam logic [7:0] OVERFLOW = penstock_pkg::REASON_OVERFLOW[7:0];
    localparam logic [7:0] NO_REFERENCE = penstock_pkg::REASON_NO_REFERENCE[7:0];
    localparam logic [7:0] MALFORMED = penstock_pkg::REASON_MALFORMED[7:0];
    localparam logic [7:0] NOT_RESERVED = penstock_pkg::REASON_UNKNOWN_ORDER[7:0];

    localparam logic [1:0] BUY = 2'd1, SELL = 2'd2;
    localparam logic [1:0] LISTING_UNKNOWN = 2'd0, LISTING_TRADING = 2'd1;
    localparam logic [1:0] CLEARING = 2'd0, IDLE = 2'd1, JUDGING = 2'd2, CHANGING = 2'd3;
    localparam logic [2:0] CHANGE_ADD = 3'd0, CHANGE_TAKE = 3'd1, CHANGE_FILL = 3'd2, CHANGE_LIMIT = 3'd3;
    localparam logic [2:0] CHANGE_EXPOSURE = 3'd4;

    localparam int SET_W = $clog2(SEEN_SETS);
    localparam int PRODUCT_W = (QTY_W + KW_PER_LOT_W > KW_W + 1 ? QTY_W + KW_PER_LOT_W : KW_W + 1) + 2;
    localparam int ROW_W = 2 + 2*QTY_W + (PRICE_W + 1) + 2*(PRICE_W + 1) + (NOTIONAL_W + 1) + 1 + 64 + 2*LINK_W;
    // The widest of the addresses that are cleared after a reset; each table takes the bits that it has.
    localparam int CLEAR_A = SLOT_W > INTERVAL_W + 1 ? SLOT_W : INTERVAL_W + 1;
    localparam int CLEAR_B = SET_W > LINK_W ? SET_W : LINK_W;
    localparam int CLEAR_C = CLEAR_A > CLEAR_B ? CLEAR_A : CLEAR_B;
    localparam int CLEAR_AT_W = CLEAR_W > 0 ? CLEAR_W : CLEAR_C > 6 ? CLEAR_C : 6;

    initial begin
        if (SLOTS < 2) $fatal(1, "%m: SLOTS=%0d, wanted 2 or more", SLOTS);
        if (INTERVALS < 2) $fatal(1, "%m: INTERVALS=%0d, wanted 2 or more", INTERVALS);
        if (LINKS < 4) $fatal(1, "%m: LINKS=%0d, wanted 4 or more", LINKS);
        if (KW_W < 4) $fatal(1, "%m: KW_W=%0d, wanted 4 or more", KW_W);
    end

    // ---- what happens when
    logic [1:0]         state_q;
    logic               ready_q;    // idle, and nothing to write
    logic [CLEAR_AT_W-1:0] clear_at_q;
    logic [3:1]         step_q;     // cycles since an order was taken
    logic               decide_q;   // every answer about the order stands
    logic               entered_q;  // one cycle after an order of one interval passed
    logic               counted_q;  // one cycle after an order was judged
    logic               passed_q;   // one cycle after an order passed

    logic               clearing_q, starts_q, changes_q;  // the tables are emptied; the first clock of changing; it is an order's
    wire logic clearing = clearing_q;
    wire logic take = s_order_tvalid && s_order_tready;
    assign s_order_tready = ready_q && (!m_verdict_tvalid || m_verdict_tready);

    // ---- the host's writes, one bit for each kind until it is applied
    logic put_listing_q, put_link_q, put_limit_q, put_exposure_q, get_interval_q, put_rate_q, put_empty_q, put_reference_q;
    wire logic reference_done;
    wire logic apply = state_q == IDLE && !ready_q && !entered_q && !passed_q;
    wire logic apply_interval = apply && (put_limit_q || put_exposure_q || get_interval_q);
    wire logic put_any = put_listing_q || put_link_q || put_limit_q || put_exposure_q || get_interval_q || put_rate_q ||
                         put_empty_q || put_reference_q;
    wire logic pulse_any = cfg_listing_write || cfg_link_write || cfg_interval_limit_write || cfg_interval_exposure_write ||
                           cfg_interval_read || cfg_rate_write || cfg_rate_empty_write || cfg_reference_write;
    logic host_q, reading_q;  // what changes now are the host's limits or exposures; or they are only read
    assign sts_hold = clearing || put_any;

    // ---- the order, as it was taken
    logic [1:0]                kind_q, side_q;
    logic [SLOT_W-1:0]         slot_q;
    logic signed [PRICE_W-1:0] price_q;
    logic [QTY_W-1:0]          lots_q;
    logic                      fits_q;
    logic [63:0]               at_q, intent_id_q;
    logic [TAG_W-1:0]          tag_q;
    logic                      check_q;  // it is an order, not a command
    wire logic                 order_sell = side_q == SELL;

    // ---- its listing: one row in block RAM; what must be known a cycle earlier stands in LUTs
    (* ram_style = "block" *)
    logic [ROW_W-1:0] listings_q [0:(1 << SLOT_W)-1];
    (* ram_style = "distributed" *)
    logic [INTERVAL_W+KW_PER_LOT_W-1:0] shapes_q [0:(1 << SLOT_W)-1];  // {first interval, kW per lot}
    logic [ROW_W-1:0]        raw_q;
    logic [INTERVAL_W-1:0]   first_q;
    logic [1:0]              listing_state_q;
    logic [QTY_W-1:0]        qty_min_q, qty_max_q;
    logic                    collar_unlimited_q, has_floor_q, has_cap_q, has_notional_q, ref_required_q, age_unlimited_q;
    logic [PRICE_W-1:0]      collar_q;
    logic signed [PRICE_W-1:0] floor_q, cap_q;
    logic [NOTIONAL_W-1:0]   notional_max_q;
    logic [62:0]             age_max_q;
    logic [LINK_W-1:0]       link_q, count_q;

    wire logic [KW_PER_LOT_W-1:0] kw_per_lot;
    wire logic [INTERVAL_W-1:0]   first;
    assign {first, kw_per_lot} = shapes_q[s_order_slot];

    // A slot beyond SLOTS is never written: its row says unknown.
    wire logic put_listing = apply && put_listing_q && 32'(cfg_listing_index) < SLOTS;
    // A write stands in registers before it reaches the RAMs; the next order is taken later than that.
    logic              listing_write_q;
    logic [SLOT_W-1:0] listing_at_q;
    logic [ROW_W-1:0]  listing_row_q;
    logic [INTERVAL_W+KW_PER_LOT_W-1:0] shape_q;
    always_ff @(posedge clk) begin
        listing_write_q <= clearing || put_listing;
        listing_at_q    <= clearing ? SLOT_W'(clear_at_q) : cfg_listing_index;
        listing_row_q   <= {
            clearing ? LISTING_UNKNOWN : cfg_listing_state,
            cfg_listing_qty_min_lots, cfg_listing_qty_max_lots, cfg_listing_collar_unlimited, cfg_listing_collar_ticks,
            cfg_listing_has_floor, cfg_listing_floor_ticks, cfg_listing_has_cap, cfg_listing_cap_ticks,
            cfg_listing_has_notional, cfg_listing_notional_max_per_minute, cfg_listing_ref_required, cfg_listing_ref_age_unlimited,
            cfg_listing_ref_age_max_ns, cfg_listing_link, cfg_listing_interval_count
        };
        shape_q <= {cfg_listing_first_interval, cfg_listing_kw_per_lot};
    end
    always_ff @(posedge clk) begin
        if (listing_write_q) listings_q[listing_at_q] <= listing_row_q;
        if (ready_q) raw_q <= listings_q[s_order_slot];
    end
    always_ff @(posedge clk) if (listing_write_q) shapes_q[listing_at_q] <= shape_q;

    // ---- a walk over the intervals of a listing, or over the one that the host named
    (* ram_style = "block" *)
    logic [INTERVAL_W-1:0] links_q [0:(1 << LINK_W)-1];
    logic [INTERVAL_W-1:0] link_raw_q;
    logic [LINK_W-1:0]     walk_left_q, walk_at_q;
    logic                  walk_first_q, walk_sell_q, walk_both_q, walk_update_q;
    logic                  next_first_q, next_sell_q, next_valid_q, next_last_q;
    logic                  here_sell_q, here_valid_q, here_last_q;
    logic [INTERVAL_W-1:0] here_q;
    logic [3:1]            asked_q;      // cycles since a row was asked for
    logic [2:1]            asked_last_q, asked_sell_q;

    wire logic walk_valid = walk_left_q != 0;
    wire logic walk_last  = walk_left_q == 1 && (!walk_both_q || walk_sell_q);
    logic                  link_write_q;
    logic [LINK_W-1:0]     link_at_q;
    logic [INTERVAL_W-1:0] link_row_q;
    always_ff @(posedge clk) begin
        link_write_q <= clearing || apply && put_link_q;
        link_at_q    <= clearing ? LINK_W'(clear_at_q) : cfg_link_index;
        link_row_q   <= clearing ? '0 : cfg_link_interval;
    end
    always_ff @(posedge clk) begin
        if (link_write_q) links_q[link_at_q] <= link_row_q;
        link_raw_q <= links_q[walk_at_q];
    end

    // ---- the parts that compare
    wire logic notional_above, too_many, position_busy, working_over, worst_over, net_over, beyond, short_of;
    wire logic ref_present, ref_outside, ref_too_old, rate_overflow, rate_refused, seen;
    wire logic [PRODUCT_W-1:0] rows_a, rows_b;
    wire logic [KW_W-2:0] exposure_kw, row_working, row_limit;
    wire logic signed [KW_W-1:0] row_net;

    logic [2:0] change_q;  // stands long before the first row does
    always_ff @(posedge clk) change_q <=
        host_q ? (put_limit_q ? CHANGE_LIMIT : CHANGE_EXPOSURE) :
        kind_q == tick_pkg::GATE_FILL ? CHANGE_FILL : kind_q == tick_pkg::GATE_RELEASE ? CHANGE_TAKE : CHANGE_ADD;

`ifdef FORMAL_CUT
    // The parts have proofs of their own; here each answers anything at any time.
    (* anyseq *) logic [13:0] any_answers;
    (* anyseq *) logic [KW_W-2:0] any_working, any_limit;
    (* anyseq *) logic signed [KW_W-1:0] any_net;
    assign {notional_above, too_many, position_busy, working_over, worst_over, net_over, beyond, short_of, ref_present, ref_outside,
            ref_too_old, rate_overflow, rate_refused, seen} = any_answers;
    assign {row_working, row_limit, row_net} = {any_working, any_limit, any_net};
    assign reference_done = apply && put_reference_q;
`else
    notional_check #(.PRICE_W(PRICE_W), .QTY_W(QTY_W), .NOTIONAL_W(NOTIONAL_W)) u_notional (
        .clk(clk), .load(ready_q), .price_ticks(s_order_price_ticks), .lots(s_order_lots), .limit(notional_max_q),
        .above(notional_above)
    );
    exposure_product #(.QTY_W(QTY_W), .KW_PER_LOT_W(KW_PER_LOT_W), .KW_W(KW_W), .W(PRODUCT_W)) u_product (
        .clk(clk), .load(ready_q), .lots(s_order_lots), .kw_per_lot(kw_per_lot),
        .rows_a(rows_a), .rows_b(rows_b), .number(exposure_kw), .too_many(too_many)
    );
    position_check #(.INTERVALS(INTERVALS), .KW_W(KW_W), .W(PRODUCT_W)) u_position (
        .clk(clk), .rst(rst), .clear(clearing), .clear_row((INTERVAL_W+1)'(clear_at_q)),
        .update(here_valid_q && walk_update_q), .interval(here_q), .sell(here_sell_q), .order_sell(order_sell),
        .change(change_q), .enter(entered_q), .rows_a(rows_a), .rows_b(rows_b), .number(exposure_kw),
        .cfg_long_max_kw(cfg_interval_long_max_kw), .cfg_short_max_kw(cfg_interval_short_max_kw),
        .cfg_net_kw(cfg_interval_net_kw), .cfg_buy_working_kw(cfg_interval_buy_working_kw),
        .cfg_sell_working_kw(cfg_interval_sell_working_kw),
        .busy(position_busy), .working_over(working_over), .worst_over(worst_over), .net_over(net_over), .beyond(beyond),
        .short_of(short_of), .row_working(row_working), .row_net(row_net), .row_limit(row_limit)
    );
    reference_check #(.SLOT_W(SLOT_W), .PRICE_W(PRICE_W)) u_reference (
        .clk(clk), .rst(rst), .clear(clearing), .clear_slot(SLOT_W'(clear_at_q)),
        .s_ref_tvalid(s_ref_tvalid && !clearing), .s_ref_slot(s_ref_slot), .s_ref_has_price(s_ref_has_price),
        .s_ref_price_ticks(s_ref_price_ticks), .s_ref_at_ns(s_ref_at_ns),
        .known_write(listing_write_q), .known_slot(listing_at_q),
        .known(listing_row_q[ROW_W-1:ROW_W-2] != LISTING_UNKNOWN),
        .cfg_write(apply && put_reference_q), .cfg_index(cfg_reference_index), .cfg_has_price(cfg_reference_has_price),
        .cfg_price_ticks(cfg_reference_price_ticks), .cfg_at_ns(cfg_reference_at_ns), .cfg_done(reference_done),
        .load(ready_q), .look(step_q[1]), .slot(s_order_slot), .price_ticks(s_order_price_ticks),
        .at_ns(s_order_at_ns[62:0]), .collar_ticks(collar_q), .collar_unlimited(collar_unlimited_q),
        .age_max_ns(age_max_q), .age_unlimited(age_unlimited_q),
        .present(ref_present), .outside(ref_outside), .too_old(ref_too_old)
    );
    message_rate u_rate (
        .clk(clk), .rst(rst), .cfg_write(apply && put_rate_q), .cfg_ns_per_message(cfg_rate_ns_per_message),
        .cfg_window_ns(cfg_rate_window_ns), .cfg_none(cfg_rate_none), .cfg_unlimited(cfg_rate_unlimited),
        .cfg_empty_write(apply && put_empty_q), .cfg_empty_ns(cfg_rate_empty_ns), .sts_empty_ns(sts_rate_stored_empty_ns),
        .load(ready_q), .at_ns(s_order_at_ns[62:0]), .enter(passed_q), .overflow(rate_overflow), .refused(rate_refused)
    );
    seen_ids #(.SEEN_SETS(SEEN_SETS), .SEEN_WAYS(SEEN_WAYS)) u_seen (
        .clk(clk), .clear(clearing), .clear_set(SET_W'(clear_at_q)), .load(ready_q), .intent_id(s_order_intent_id[62:0]),
        .look(step_q[1]), .enter(passed_q), .seen(seen)
    );
`endif

    // ---- the answers of the row and of the order's form
    logic malformed_q, small_q, large_q, low_q, high_q, collar_none_q, age_none_q, single_q;
    logic early_q;
    logic [7:0] early_reason_q;
    wire logic unknown = listing_state_q == LISTING_UNKNOWN;
    wire logic sided = side_q == BUY || side_q == SELL;
    // RESERVE, RELEASE and FILL have neither price nor time nor id, and ask for no limit.
    wire logic [7:0] early_reason =
        unknown                                          ? LISTING :
        check_q && listing_state_q != LISTING_TRADING    ? PAUSED :
        malformed_q                                      ? MALFORMED :
        !fits_q                                          ? OVERFLOW :
        check_q && small_q                               ? QTY_MIN :
        check_q && large_q                               ? QTY_MAX :
        check_q && ref_required_q && !ref_present        ? NO_REFERENCE :
        check_q && (low_q || high_q)                     ? BOUNDS :
        check_q && collar_none_q                         ? COLLAR : NONE;

    // ---- of several intervals the first that fails decides
    logic over_q, beyond_q, net_over_q, working_over_q, short_q;
    wire logic over_now      = working_over || worst_over;
    wire logic position_over = over_q || !beyond_q && over_now;
    wire logic position_bad  = beyond_q || !over_q && !over_now && beyond;
    wire logic any_net_over     = net_over_q || net_over;
    wire logic any_working_over = working_over_q || working_over;
    wire logic any_short        = short_q || short_of;

    wire logic stale = age_none_q || ref_too_old;
    wire logic [7:0] check_reason =
        cfg_kill                           ? KILL :
        cfg_paused                         ? PAUSED :
        early_q                            ? early_reason_q :
        ref_outside                        ? COLLAR :
        !has_notional_q || notional_above  ? NOTIONAL :
        too_many || position_over          ? OVERFLOW :
        position_bad                       ? POSITION :
        rate_overflow                        ? OVERFLOW :
        rate_refused                     ? RATE :
        stale                              ? STALE :
        seen                               ? DUPLICATE : NONE;
    wire logic command_over =
        too_many || kind_q == tick_pkg::GATE_RESERVE && any_working_over || kind_q == tick_pkg::GATE_FILL && any_net_over;
    wire logic command_short = kind_q != tick_pkg::GATE_RESERVE && any_short;
    wire logic [7:0] command_reason =
        early_q ? early_reason_q : command_over ? OVERFLOW : command_short ? NOT_RESERVED : NONE;
    wire logic [7:0] reason = check_q ? check_reason : command_reason;
    wire logic fails = cfg_kill || cfg_paused || early_q || ref_outside || !has_notional_q || notional_above || too_many ||
                       position_over || position_bad || rate_overflow || rate_refused || stale || seen;
    wire logic passes = check_q && !fails;
    // What was dealt has happened: a FILL is entered even where less was reserved.
    wire logic changes = check_q ? passes && !single_q :
        !early_q && !command_over && (!command_short || kind_q == tick_pkg::GATE_FILL);

    // An order that fails changes nothing, which is known one clock after it was judged: not in the way of the verdict.
    wire logic begins  = starts_q && (host_q || changes_q);
    wire logic changed = !begins && !walk_valid && !next_valid_q && !here_valid_q && asked_q[2:1] == 0 && !position_busy;
    logic [1:0] state_d;
    always_comb begin
        state_d = state_q;
        case (state_q)
            CLEARING: if (&clear_at_q) state_d = IDLE;
            IDLE:     if (take) state_d = JUDGING; else if (apply_interval) state_d = CHANGING;
            JUDGING:  if (decide_q) state_d = check_q && single_q ? IDLE : CHANGING;
            default:  if (changed) state_d = IDLE;
        endcase
    end

    always_ff @(posedge clk) begin
        state_q    <= state_d;
        clearing_q <= state_d == CLEARING;
        starts_q   <= state_q != CHANGING && state_d == CHANGING;
        changes_q  <= changes;
        ready_q <= state_d == IDLE && !put_any && !pulse_any && state_q != CLEARING;
        clear_at_q <= clear_at_q + 1'b1;

        // A kind of write is pending from its pulse until it is applied; of the host's interval the walk's end applies it.
        put_listing_q   <= cfg_listing_write || put_listing_q && !apply;
        put_link_q      <= cfg_link_write || put_link_q && !apply;
        put_rate_q      <= cfg_rate_write || put_rate_q && !apply;
        put_empty_q     <= cfg_rate_empty_write || put_empty_q && !apply;
        put_reference_q <= cfg_reference_write || put_reference_q && !reference_done;
        if (state_q == CHANGING && changed && host_q) begin
            if (put_limit_q) put_limit_q <= 1'b0;
            else if (put_exposure_q) put_exposure_q <= 1'b0;
            else get_interval_q <= 1'b0;
        end
        if (cfg_interval_limit_write) put_limit_q <= 1'b1;
        if (cfg_interval_exposure_write) put_exposure_q <= 1'b1;
        if (cfg_interval_read) get_interval_q <= 1'b1;

        if (ready_q) begin
            kind_q      <= s_order_kind;
            check_q     <= s_order_kind == tick_pkg::GATE_CHECK;
            slot_q      <= s_order_slot;
            side_q      <= s_order_side;
            price_q     <= s_order_price_ticks;
            lots_q      <= s_order_lots;
            fits_q      <= s_order_fits;
            at_q        <= s_order_at_ns;
            intent_id_q <= s_order_intent_id;
            tag_q       <= s_order_tag;
            first_q     <= first;
        end
        step_q <= {step_q[2:1], take};

        // cycle 1
        {listing_state_q, qty_min_q, qty_max_q, collar_unlimited_q, collar_q, has_floor_q, floor_q, has_cap_q, cap_q,
         has_notional_q, notional_max_q, ref_required_q, age_unlimited_q, age_max_q, link_q, count_q} <= raw_q;
        malformed_q <= !sided || (check_q ? at_q[63] || intent_id_q[63] || intent_id_q == 0 : lots_q == 0 && fits_q);
        // cycle 2
        small_q       <= lots_q < qty_min_q;
        large_q       <= lots_q > qty_max_q;
        low_q         <= has_floor_q && price_q < floor_q;
        high_q        <= has_cap_q && price_q > cap_q;
        collar_none_q <= collar_q == 0 && !collar_unlimited_q;
        age_none_q    <= age_max_q == 0 && !age_unlimited_q;
        single_q      <= unknown || count_q <= 1;
        // cycle 3
        early_q        <= early_reason != NONE;
        early_reason_q <= early_reason;

        // the walk: the link's address, the link, the interval; then the row is asked for
        if (walk_valid) begin
            if (walk_both_q && !walk_sell_q) walk_sell_q <= 1'b1;
            else begin
                if (walk_both_q) walk_sell_q <= 1'b0;
                walk_left_q  <= walk_left_q - 1'b1;
                walk_first_q <= 1'b0;
                if (!walk_first_q) walk_at_q <= walk_at_q + 1'b1;
            end
        end
        next_valid_q <= walk_valid;
        next_first_q <= walk_first_q;
        next_sell_q  <= walk_sell_q;
        next_last_q  <= walk_valid && walk_last;
        here_valid_q <= next_valid_q;
        if (next_valid_q) begin
            here_q      <= !next_first_q ? link_raw_q : host_q ? cfg_interval_index : first_q;
            here_sell_q <= next_sell_q;
        end
        if (ready_q) begin  // the row of an order of one interval stands until the order is entered
            here_q      <= first;
            here_sell_q <= s_order_side == SELL;
        end
        here_last_q  <= next_last_q;
        asked_q      <= {asked_q[2:1], step_q[1] || here_valid_q};
        asked_last_q <= {asked_last_q[1], here_last_q};
        asked_sell_q <= {asked_sell_q[1], here_sell_q};
        decide_q     <= state_q == JUDGING && !decide_q && (step_q[3] && single_q || asked_last_q[2]);

        if (step_q[2]) begin
            walk_left_q   <= unknown || count_q <= 1 ? '0 : count_q - 1'b1;
            walk_at_q     <= link_q;
            walk_first_q  <= 1'b0;
            walk_both_q   <= 1'b0;
            walk_sell_q   <= order_sell;
            walk_update_q <= 1'b0;
        end
        if (state_q == IDLE) begin
            host_q    <= apply_interval;
            reading_q <= apply_interval && !put_limit_q && !put_exposure_q;
        end
        if (starts_q) begin
            walk_at_q     <= link_q;
            walk_first_q  <= 1'b1;
            walk_both_q   <= host_q || kind_q == tick_pkg::GATE_FILL;
            walk_sell_q   <= host_q || kind_q == tick_pkg::GATE_FILL ? 1'b0 : order_sell;
            walk_update_q <= !reading_q;
        end
        if (begins) walk_left_q <= host_q || single_q ? LINK_W'(1) : count_q;
        if (reading_q && asked_q[2] && !asked_sell_q[2]) begin
            sts_interval_stored_long_max_kw    <= row_limit;
            sts_interval_stored_net_kw         <= row_net;
            sts_interval_stored_buy_working_kw <= row_working;
        end
        if (reading_q && asked_q[2] && asked_sell_q[2]) begin
            sts_interval_stored_short_max_kw    <= row_limit;
            sts_interval_stored_sell_working_kw <= row_working;
        end
        if (state_q == CHANGING && changed) begin
            host_q    <= 1'b0;
            reading_q <= 1'b0;
        end

        if (asked_q[3] && state_q == JUDGING) begin
            over_q         <= position_over;
            beyond_q       <= position_bad;
            net_over_q     <= any_net_over;
            working_over_q <= any_working_over;
            short_q        <= any_short;
        end
        if (ready_q) begin
            over_q         <= 1'b0;
            beyond_q       <= 1'b0;
            net_over_q     <= 1'b0;
            working_over_q <= 1'b0;
            short_q        <= 1'b0;
        end

        if (m_verdict_tready) m_verdict_tvalid <= 1'b0;
        if (decide_q) begin
            m_verdict_tvalid <= 1'b1;
            m_verdict_reason <= reason;
        end
        if (step_q[2]) begin  // no verdict waits while an order is inside
            m_verdict_kind        <= kind_q;
            m_verdict_slot        <= slot_q;
            m_verdict_side        <= side_q;
            m_verdict_price_ticks <= price_q;
            m_verdict_lots        <= lots_q;
            m_verdict_at_ns       <= at_q;
            m_verdict_intent_id   <= intent_id_q;
            m_verdict_tag         <= tag_q;
        end
        passed_q  <= decide_q && passes;
        entered_q <= decide_q && passes && single_q;
        counted_q <= decide_q && check_q;

        if (rst) begin
            state_q    <= CLEARING;
            clearing_q <= 1'b1;
            starts_q   <= 1'b0;
            ready_q    <= 1'b0;
            clear_at_q <= '0;
            step_q     <= '0;
            decide_q   <= 1'b0;
            passed_q   <= 1'b0;
            entered_q  <= 1'b0;
            counted_q  <= 1'b0;
            host_q     <= 1'b0;
            reading_q  <= 1'b0;
            walk_left_q  <= '0;
            next_valid_q <= 1'b0;
            here_valid_q <= 1'b0;
            asked_q      <= '0;
            next_last_q  <= 1'b0;
            here_last_q  <= 1'b0;
            asked_last_q <= '0;
            put_listing_q   <= 1'b0;
            put_link_q      <= 1'b0;
            put_limit_q     <= 1'b0;
            put_exposure_q  <= 1'b0;
            get_interval_q  <= 1'b0;
            put_rate_q      <= 1'b0;
            put_empty_q     <= 1'b0;
            put_reference_q <= 1'b0;
            sts_interval_stored_long_max_kw     <= '0;
            sts_interval_stored_short_max_kw    <= '0;
            sts_interval_stored_net_kw          <= '0;
            sts_interval_stored_buy_working_kw  <= '0;
            sts_interval_stored_sell_working_kw <= '0;
            m_verdict_tvalid <= 1'b0;
        end
    end

    reason_counts #(.COUNT_W(COUNT_W)) u_counts (
        .clk(clk), .clear(clearing), .count(counted_q), .reason(clearing ? clear_at_q[5:0] : m_verdict_reason[5:0]),
        .cfg_index(cfg_count_index), .sts_count(sts_count)
    );

`ifdef FORMAL
    logic ran_q;  // false in the first clock, whose reset has not come through yet
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(
        .WIDTH(2 + SLOT_W + 2 + PRICE_W + QTY_W + 1 + 64 + 64 + TAG_W), .ASSUME(1)
    ) s_order_i (
        .clk, .rst, .tvalid(s_order_tvalid), .tready(s_order_tready),
        .payload({s_order_kind, s_order_slot, s_order_side, s_order_price_ticks, s_order_lots, s_order_fits, s_order_at_ns,
                  s_order_intent_id, s_order_tag})
    );
    axis_rules #(.WIDTH(2 + 8 + SLOT_W + 2 + PRICE_W + QTY_W + 64 + 64 + TAG_W)) m_verdict_i (
        .clk, .rst, .tvalid(m_verdict_tvalid), .tready(m_verdict_tready),
        .payload({m_verdict_kind, m_verdict_reason, m_verdict_slot, m_verdict_side, m_verdict_price_ticks, m_verdict_lots,
                  m_verdict_at_ns, m_verdict_intent_id, m_verdict_tag})
    );

    // An order is inside only while no verdict waits, and something always moves it on.
    wire logic judging   = state_q == JUDGING;
    wire logic walking   = walk_valid || next_valid_q || here_valid_q;
    wire logic passing   = decide_q && passes;
    always_comb if (ran_q) begin
        alone:   assert (!judging || !m_verdict_tvalid);
        open:    assert (!ready_q || state_q == IDLE);
        decides: assert (!decide_q || judging);
        kind:    assert (!judging || check_q == (kind_q == tick_pkg::GATE_CHECK));
        inside:  assert (!(|step_q) || judging);
        idle:    assert (state_q != IDLE && state_q != CLEARING || !walking && !(|asked_last_q));
        starts:  assert (!starts_q || state_q == CHANGING && !walking && !(|asked_last_q));
        one:     assert (step_q == 0 || step_q == 1 || step_q == 2 || step_q == 4);
        agreed:  assert (fails == (check_reason != NONE));
        early:   assert (!step_q[1] && !step_q[2] || !walking && !(|asked_last_q) && !decide_q);
        third:   assert (!step_q[3] || !next_valid_q && !here_valid_q && !(|asked_last_q) && !decide_q);
        last_1:  assert (!next_last_q || next_valid_q && !walk_valid);
        last_2:  assert (!here_last_q || here_valid_q && !walk_valid && !next_valid_q);
        last_3:  assert (!asked_last_q[1] || asked_q[1] && !walking);
        last_4:  assert (!asked_last_q[2] || asked_q[2] && !walking && !asked_last_q[1]);
        last_5:  assert (!decide_q || !walking && !(|asked_last_q));
        moves:   assert (!judging || |step_q || decide_q || walk_valid || next_last_q || here_last_q || |asked_last_q);
        walks:   assert (!step_q[3] || single_q != walk_valid);
        empties: assert (clearing == (state_q == CLEARING));
        copied:  assert (!judging || step_q[1] || step_q[2] ||
                         {m_verdict_kind, m_verdict_slot, m_verdict_side, m_verdict_price_ticks, m_verdict_lots, m_verdict_at_ns,
                          m_verdict_intent_id, m_verdict_tag} ==
                         {kind_q, slot_q, side_q, price_q, lots_q, at_q, intent_id_q, tag_q});
    end

    // What the switches were at the edge that offered a verdict: no order passes later than that.
    logic offered_q, kill_q, paused_q, waited_q;
    always_ff @(posedge clk) begin
        offered_q <= decide_q && !rst;
        kill_q    <= cfg_kill;
        paused_q  <= cfg_paused;
        waited_q  <= m_verdict_tvalid && !m_verdict_tready && !rst;
    end
    wire logic passed = m_verdict_tvalid && m_verdict_kind == tick_pkg::GATE_CHECK && m_verdict_reason == NONE;
    always_comb if (ran_q) begin
        killed:       assert (!(offered_q && passed && kill_q));
        stopped:      assert (!(offered_q && passed && paused_q));
        only_decided: assert (!m_verdict_tvalid || offered_q || waited_q);
    end

    // What the parts said of the order: of each interval, a clock after its row was at hand; the rest as it passes.
    logic refused_q;
    always_ff @(posedge clk) begin
        if (step_q[1]) refused_q <= 1'b0;
        else if (judging && asked_q[3] && (working_over || worst_over || beyond)) refused_q <= 1'b1;
    end
    wire logic refused_now = working_over || worst_over || beyond;
    always_comb if (ran_q && passing) begin
        in_position: assert (!refused_now && !refused_q && !too_many);
        in_time:     assert (!ref_too_old && !(age_max_q == 0 && !age_unlimited_q && age_none_q));
        in_rate:     assert (!rate_overflow && !rate_refused);
        in_order:    assert (!seen && !ref_outside && !notional_above);
    end
    always_comb if (ran_q && judging && !step_q[1]) begin
        heard: assert (!refused_q || over_q || beyond_q);
    end

    // One counter, any: it moves by one for each order judged so, four clocks later, and stops at its end.
    (* anyconst *) logic [5:0] any_reason;
    logic [4:1]         judged_q;
    logic [4:1]         cleared_q;
    logic [COUNT_W-1:0] counted_before_q;
    always_ff @(posedge clk) begin
        judged_q  <= {judged_q[3:1], decide_q && check_q && reason == {2'b0, any_reason} && !rst};
        cleared_q <= {cleared_q[3:1], clearing || rst};
        counted_before_q <= sts_count;
    end
    always_comb begin
        assume (cfg_count_index == any_reason);
        if (ran_q && !clearing && !(|cleared_q))
            counts: assert (sts_count == counted_before_q + COUNT_W'(judged_q[4] && !(&counted_before_q)));
    end
`endif

`ifdef FORMAL_LIMITS
    // One listing, any, as the host last wrote it before the order was taken.
    (* anyconst *) logic [SLOT_W-1:0] any_slot;
    logic       any_known_q;  // the host has written this listing since the reset
    logic [1:0] any_state_q;
    logic       unbounded_q, floored_q, capped_q, valued_q;
    logic [QTY_W-1:0]   least_lots_q, most_lots_q;
    logic [PRICE_W-1:0] widest_q;
    logic signed [PRICE_W-1:0] any_floor_q, any_cap_q;
    logic [NOTIONAL_W-1:0] any_notional_q;
    always_ff @(posedge clk) begin
        if (put_listing && cfg_listing_index == any_slot) begin
            any_known_q    <= 1'b1;
            any_state_q    <= cfg_listing_state;
            least_lots_q   <= cfg_listing_qty_min_lots;
            most_lots_q    <= cfg_listing_qty_max_lots;
            floored_q      <= cfg_listing_has_floor;
            any_floor_q    <= cfg_listing_floor_ticks;
            capped_q       <= cfg_listing_has_cap;
            any_cap_q      <= cfg_listing_cap_ticks;
            valued_q       <= cfg_listing_has_notional;
            any_notional_q <= cfg_listing_notional_max_per_minute;
            widest_q       <= cfg_listing_collar_ticks;
            unbounded_q    <= cfg_listing_collar_unlimited;
        end
        if (rst) any_known_q <= 1'b0;
    end

    // The row keeps what was written, and comes to the order as it is; then no part of it changes.
    localparam int KEPT_W = ROW_W - 2 - 63 - 2*LINK_W;
    wire logic [KEPT_W-1:0] any_row = {any_state_q, least_lots_q, most_lots_q, unbounded_q, widest_q, floored_q, any_floor_q,
                                       capped_q, any_cap_q, valued_q, any_notional_q};
    wire logic [ROW_W-1:0]  stored = listings_q[any_slot];
    wire logic              storing = listing_write_q && listing_at_q == any_slot;
    wire logic              mine = any_known_q && judging && slot_q == any_slot;
    wire logic [KEPT_W-1:0] at_hand = {listing_state_q, qty_min_q, qty_max_q, collar_unlimited_q, collar_q, has_floor_q, floor_q,
                                       has_cap_q, cap_q, has_notional_q, notional_max_q};
    wire logic              later = !step_q[1] && !step_q[2];
    always_comb if (ran_q) begin
        keeps:   assert (!any_known_q || storing || stored[ROW_W-1 -: KEPT_W] == any_row);
        put:     assert (!any_known_q || !storing || listing_row_q[ROW_W-1 -: KEPT_W] == any_row);
        apart:   assert (!listing_write_q || !ready_q && !judging);
        raw:     assert (!mine || raw_q[ROW_W-1 -: KEPT_W] == any_row);
        comes:   assert (!mine || step_q[1] || at_hand == any_row);
        formed:  assert (!judging || step_q[1] || !check_q ||
                         malformed_q == (!sided || at_q[63] || intent_id_q[63] || intent_id_q == 0));
        held:    assert (!mine || !later || {small_q, large_q, low_q, high_q, collar_none_q} ==
                         {lots_q < least_lots_q, lots_q > most_lots_q, floored_q && price_q < any_floor_q,
                          capped_q && price_q > any_cap_q, widest_q == 0 && !unbounded_q});
        fine:    assert (!judging || !later || step_q[3] || early_q || !check_q ||
                         listing_state_q == LISTING_TRADING && fits_q &&
                         !(malformed_q || small_q || large_q || low_q || high_q || collar_none_q));
    end

    // notional_check and reference_check answer as their own proofs say, three clocks after they took the order.
    wire logic signed [PRICE_W+1:0] price = (PRICE_W+2)'(price_q);
    wire logic [PRICE_W+1:0] size = price < 0 ? -price : price;
    wire logic [PRICE_W+QTY_W:0] value = (PRICE_W+QTY_W+1)'(size) * (PRICE_W+QTY_W+1)'(lots_q);
    (* anyseq *) logic signed [PRICE_W-1:0] any_ref;  // the reference that the order sees
    (* anyseq *) logic any_has;
    logic has_ref_q;
    logic signed [PRICE_W-1:0] ref_q;
    always_ff @(posedge clk) if (step_q[1]) {has_ref_q, ref_q} <= {any_has, any_ref};
    wire logic signed [PRICE_W+1:0] apart_by = price - (PRICE_W+2)'(ref_q);
    always_comb if (judging && later && !step_q[3]) begin
        assume (notional_above == (64'(value) > 64'(notional_max_q)));
        assume (ref_outside == (has_ref_q && !collar_unlimited_q && ((apart_by < 0 ? -apart_by : apart_by) > $signed({2'b0, collar_q}))));
    end

    always_comb if (ran_q && mine && passing) begin
        in_listing:  assert (any_state_q == LISTING_TRADING);
        in_quantity: assert (lots_q >= least_lots_q && lots_q <= most_lots_q && fits_q);
        in_bounds:   assert ((!floored_q || price_q >= any_floor_q) && (!capped_q || price_q <= any_cap_q));
        in_notional: assert (valued_q && 64'(value) <= 64'(any_notional_q));
        in_collar:   assert (unbounded_q || widest_q != 0 && (!has_ref_q ||
                             apart_by <= $signed({2'b0, widest_q}) && -apart_by <= $signed({2'b0, widest_q})));
        in_form:     assert (!at_q[63] && !intent_id_q[63] && intent_id_q != 0 && sided);
    end
`endif

`ifdef FORMAL_WALK
    // What passes counts. A verdict that says so takes the message and the id one clock after it was decided, and so does it
    // reserve, of a single interval; of several, and for the commands, the walk below does.
    always_comb if (ran_q) begin
        remembers: assert (passed_q == (offered_q && passed));
        enters:    assert (entered_q == (offered_q && passed && count_q <= 1));
    end
    always_comb if (ran_q && entered_q) same_row: assert (here_q == first_q && here_sell_q == order_sell);

    // The rows asked for, counted: those of an order that is judged, and those of what then changes.
    localparam int ROWS_W = LINK_W + 2;
    logic [ROWS_W-1:0] rows_q;  // asked for so far
    wire logic changing = state_q == CHANGING;
    always_ff @(posedge clk) begin
        rows_q <= step_q[1] ? ROWS_W'(1) : rows_q + ROWS_W'(here_valid_q);
        if (rst || state_q == IDLE || decide_q || changing && changed) rows_q <= '0;
    end
    wire logic both     = changing && (host_q || kind_q == tick_pkg::GATE_FILL);  // buyers' row, then sellers'
    // What the verdict of the order says of the change; nothing but the next order makes it another.
    wire logic counts_now = m_verdict_reason == NONE || kind_q == tick_pkg::GATE_FILL && m_verdict_reason == NOT_RESERVED;
    wire logic [ROWS_W-1:0] intervals = unknown || count_q <= 1 ? ROWS_W'(1) : ROWS_W'(count_q);
    wire logic [ROWS_W-1:0] total =
        !changing ? intervals : host_q ? ROWS_W'(2) : !counts_now ? '0 : both ? intervals << 1 : intervals;
    // Row `at` of those is of this interval, the first or a link of the listing, and of this side.
    wire logic [ROWS_W-1:0] at_next = rows_q + ROWS_W'(here_valid_q), at_walk = at_next + ROWS_W'(next_valid_q);
    wire logic [ROWS_W-1:0] nth_here = both ? rows_q >> 1 : rows_q, nth_next = both ? at_next >> 1 : at_next;
    wire logic [ROWS_W-1:0] nth_walk = both ? at_walk >> 1 : at_walk;
    wire logic [LINK_W-1:0] link_here = link_q + LINK_W'(nth_here) - 1'b1, link_next = link_q + LINK_W'(nth_next) - 1'b1;
    wire logic [LINK_W-1:0] link_walk = nth_walk == 0 ? link_q : link_q + LINK_W'(nth_walk) - 1'b1;
    logic [INTERVAL_W-1:0] host_at_q;
    always_ff @(posedge clk) host_at_q <= cfg_interval_index;
    wire logic [INTERVAL_W-1:0] wanted = nth_here != 0 ? links_q[link_here] : host_q ? host_at_q : first_q;
    wire logic [ROWS_W-1:0] left = both ? (ROWS_W'(walk_left_q) << 1) - ROWS_W'(walk_sell_q) : ROWS_W'(walk_left_q);
    wire logic ours = judging || changing && !host_q;
    wire logic moving = judging && !step_q[1] && !step_q[2] || changing && !starts_q;
    wire logic [2:0] change = host_q ? change_q : kind_q == tick_pkg::GATE_FILL ? CHANGE_FILL :
                              kind_q == tick_pkg::GATE_RELEASE ? CHANGE_TAKE : CHANGE_ADD;
    always_comb if (ran_q && here_valid_q) begin
        asks:    assert (here_q == wanted && here_sell_q == (both ? rows_q[0] : order_sell));
        asks_on: assert (judging || changing);
        writes:  assert (walk_update_q == (changing && !reading_q));
    end
    always_comb if (ran_q && decide_q) judged: assert (rows_q == total);
    always_comb if (ran_q && changing && changed) done: assert (rows_q == total);
    always_comb if (ran_q && changing && changed && !host_q && total > 1) every: assert (rows_q == total);
    always_comb if (ran_q) begin
        opens:    assert (!step_q[1] || here_q == first_q && here_sell_q == order_sell && rows_q == 0 && !here_valid_q);
        how:      assert (!changing || !asked_q[2] || change_q == change);
        fewer:    assert (rows_q <= total || state_q == IDLE || state_q == CLEARING);

        rests:    assert (!starts_q || rows_q == 0);
        rests_1:  assert (state_q != IDLE && state_q != CLEARING || rows_q == 0);
        goes_1:   assert (!judging || step_q[1] || !step_q[2] || rows_q == 1);
        goes:     assert (!moving || at_walk + left == total);
        both_on:  assert (!moving || walk_both_q == both);
        side_0:   assert (!moving || !both || walk_valid || !walk_sell_q);
        side_1:   assert (!moving || walk_sell_q == (both ? at_walk[0] : order_sell));
        first_on: assert (!moving || !walk_valid || walk_first_q == (nth_walk == 0));
        link_on:  assert (!moving || !walk_valid || walk_at_q == link_walk);
        next_on:  assert (!moving || !next_valid_q || next_first_q == (nth_next == 0) &&
                          next_sell_q == (both ? at_next[0] : order_sell) &&
                          (nth_next == 0 || link_raw_q == links_q[link_next]));
        alone_on: assert (!host_q || changing);
        no_link:  assert (!link_write_q || !judging && (!changing || host_q));
        stays:    assert (!ours || step_q[1] || {link_q, count_q} == raw_q[2*LINK_W-1:0]);
        single:   assert (!ours || step_q[1] || step_q[2] || single_q == (listing_state_q == LISTING_UNKNOWN || count_q <= 1));
        first_at: assert (!judging || !(|step_q) && !single_q || here_q == first_q && here_sell_q == order_sell);
    end

    // First interval, links and their number are those that the host last wrote of the order's listing, any.
    (* anyconst *) logic [SLOT_W-1:0] walk_slot;
    logic told_q;
    logic [INTERVAL_W-1:0] told_first_q;
    logic [2*LINK_W-1:0]   told_links_q;
    always_ff @(posedge clk) begin
        if (put_listing && cfg_listing_index == walk_slot) begin
            told_q       <= 1'b1;
            told_first_q <= cfg_listing_first_interval;
            told_links_q <= {cfg_listing_link, cfg_listing_interval_count};
        end
        if (rst) told_q <= 1'b0;
    end
    wire logic [INTERVAL_W+KW_PER_LOT_W-1:0] told_shape = shapes_q[walk_slot];
    wire logic [ROW_W-1:0] told_row = listings_q[walk_slot];
    wire logic telling = listing_write_q && listing_at_q == walk_slot;
    wire logic told_ours = told_q && ours && slot_q == walk_slot;
    always_comb if (ran_q) begin
        told_in:  assert (!told_q || telling || told_shape[INTERVAL_W+KW_PER_LOT_W-1 -: INTERVAL_W] == told_first_q &&
                          told_row[2*LINK_W-1:0] == told_links_q);
        told_put: assert (!told_q || !telling || shape_q[INTERVAL_W+KW_PER_LOT_W-1 -: INTERVAL_W] == told_first_q &&
                          listing_row_q[2*LINK_W-1:0] == told_links_q);
        told_way: assert (!listing_write_q || !ready_q && !judging);
    end
    always_comb if (ran_q && told_ours) told_raw: assert (first_q == told_first_q && raw_q[2*LINK_W-1:0] == told_links_q);
`endif
endmodule
`default_nettype wire
