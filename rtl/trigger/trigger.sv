// SPDX-License-Identifier: Apache-2.0
// Trigger: hold every top against the rules of its slot, and make an order of the first that holds.
//
// A slot has LANES rows; a row names one of RULES rules, what it waits for, and the order. Only an armed rule is looked
// at; it disarms itself as it fires. Of several rows that hold the lowest lane fires, the others stay armed and are
// looked at again with the next top. Nothing fires from a top that is not known, or lacks a price that is needed.
//   price mode 0   the order's price is that of the row
//   price mode 1   … plus the price that was touched: the ask or bid that the rule reads; of a spread rule, what the
//                  order would meet (the ask for a buy, the bid for a sell). Where that needs more than PRICE_W bits,
//                  the order leaves with fits low, for the gate to refuse.
// A pair rule compares with the other slot's latest top. Load it in both slots, kinds mirrored, the rule the same.
// intent_id is cfg_intent_base + orders fired before; while that is not in 1 … 2**63 - 1 nothing fires.
//
// Tables: a row is applied whole, three clocks after cfg_lane_write, to tops taken later; so is cfg_slot_clear, which
// empties the slot's rows and forgets its top. Rows that make no sense are refused and counted. After reset the tables
// are emptied for 2**SLOT_W clocks; meanwhile sts_hold is high, no top is taken, and table commands are not heard.
//
// Latency 2 clocks, 4 where the slot has a pair rule. One top per clock; one per 2 clocks where a rule may fire, and per 3
// where the slot has a pair rule, armed or not; none while an order waits to be taken and in the clock after. An arming in
// the clock in which a rule is decided on, or in the next, does not outlive its order. m_order_ is one selection of a lane
// behind registers; s_top_tready comes from registers.
`default_nettype none
module trigger #(
    parameter int SLOTS      = 256,
    parameter int RULES      = 64,  // 1 … 64
    parameter int LANES      = 2,   // rows of a slot, 1 … 4
    parameter int PRICE_W    = 32,  // bits of a signed price, ticks
    parameter int QTY_W      = 24,  // bits of an order's lots
    parameter int BOOK_QTY_W = 32,  // bits of a book's lots
    parameter int COUNT_W    = 32,  // bits of the counters, which stop at their largest value
    parameter int SLOT_W     = SLOTS > 1 ? $clog2(SLOTS) : 1,
    parameter int RULE_W     = RULES > 1 ? $clog2(RULES) : 1,
    parameter int LANE_W     = LANES > 1 ? $clog2(LANES) : 1
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic                      cfg_lane_write,      // one clock: set a row
    input  wire logic [SLOT_W-1:0]         cfg_lane_index,      // of this slot …
    input  wire logic [LANE_W-1:0]         cfg_lane_number,     // … and lane
    input  wire logic [2:0]                cfg_lane_kind,       // tick_pkg RULE_…; RULE_NONE empties the row
    input  wire logic [RULE_W-1:0]         cfg_lane_rule,
    input  wire logic [SLOT_W-1:0]         cfg_lane_other,      // the other slot of a pair rule
    input  wire logic signed [PRICE_W:0]   cfg_lane_threshold_ticks,
    input  wire logic [SLOT_W-1:0]         cfg_lane_order_slot,
    input  wire logic [1:0]                cfg_lane_side,       // of the order: 1 buy, 2 sell
    input  wire logic                      cfg_lane_price_mode,
    input  wire logic signed [PRICE_W-1:0] cfg_lane_price_ticks,  // the price, or what is added to the touched one
    input  wire logic [QTY_W-1:0]          cfg_lane_lots,
    input  wire logic                      cfg_slot_clear,      // one clock: empty the slot's rows, forget its top
    input  wire logic [SLOT_W-1:0]         cfg_slot_index,
    input  wire logic [RULE_W-1:0]         cfg_rule_index,
    input  wire logic                      cfg_arm,             // one clock: arm this rule …
    input  wire logic                      cfg_disarm,          // … or disarm it
    input  wire logic                      cfg_disarm_all,
    input  wire logic [63:0]               cfg_intent_base,

    input  wire logic                      s_top_tvalid,
    output wire logic                      s_top_tready,
    input  wire logic [SLOT_W-1:0]         s_top_slot,
    input  wire logic                      s_top_known,
    input  wire logic                      s_top_has_bid,
    input  wire logic signed [PRICE_W-1:0] s_top_bid_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     s_top_bid_lots,      // no rule reads the lots
    input  wire logic                      s_top_has_ask,
    input  wire logic signed [PRICE_W-1:0] s_top_ask_ticks,
    input  wire logic [BOOK_QTY_W-1:0]     s_top_ask_lots,
    input  wire logic [63:0]               s_top_at_ns,
    input  wire logic [31:0]               s_top_stamp,

    output wire logic                      m_order_tvalid,
    input  wire logic                      m_order_tready,
    output wire logic [1:0]                m_order_kind,        // GATE_CHECK
    output wire logic [SLOT_W-1:0]         m_order_slot,
    output wire logic [1:0]                m_order_side,
    output wire logic signed [PRICE_W-1:0] m_order_price_ticks,
    output wire logic [QTY_W-1:0]          m_order_lots,
    output wire logic                      m_order_fits,
    output      logic [63:0]               m_order_at_ns,
    output      logic [63:0]               m_order_intent_id,
    output wire logic [63:0]               m_order_tag,         // {rule, stamp}

    output wire logic                      sts_hold,
    output wire logic [63:0]               sts_armed,           // a bit a rule
    output      logic [RULE_W-1:0]         sts_last_rule,       // the latest that fired; after reset 0
    output wire logic [63:0]               sts_fired_count,     // orders offered
    output      logic [COUNT_W-1:0]        sts_unknown_count,     // tops of which an armed row lacked a known top …
    output      logic [COUNT_W-1:0]        sts_absent_count,      // … or a price
    output      logic [COUNT_W-1:0]        sts_no_id_count,       // tops that held, but there was no intent id
    output      logic [COUNT_W-1:0]        sts_passed_over_count, // tops of which a second row held
    output      logic [COUNT_W-1:0]        sts_refused_count      // rows and slots that make no sense
);
    // The widths of the lane's rows and of the tops it keeps.
    localparam int COMPARE_W = 10 + RULE_W + 2 * PRICE_W;
    localparam int REST_W = 2 * SLOT_W + 2 + QTY_W;
    localparam int KEEP_W = 3 + 2 * PRICE_W;

    initial begin
        if (SLOTS < 1 || SLOT_W < $clog2(SLOTS)) $fatal(1, "%m: SLOTS=%0d, wanted 1 or more", SLOTS);
        if (RULES < 1 || RULES > 64) $fatal(1, "%m: RULES=%0d, wanted 1 to 64", RULES);
        if (LANES < 1 || LANES > 4) $fatal(1, "%m: LANES=%0d, wanted 1 to 4", LANES);
        if (PRICE_W < 2 || PRICE_W > 62) $fatal(1, "%m: PRICE_W=%0d, wanted 2 to 62", PRICE_W);
    end

    // ---- tables: one command at a time, a clock to prepare it, a clock to write it ----
    logic              init_q, hold_q, write_q, clear_q, cleared_q, pause_q, forget_q;
    logic [SLOT_W-1:0] init_index_q, command_index_q, cleared_index_q, pause_index_q, forget_index_q;
    logic [LANE_W-1:0] command_lane_q;
    logic [COMPARE_W-1:0] command_compare_q;
    logic [REST_W-1:0] command_rest_q;

    wire logic is_none    = cfg_lane_kind == tick_pkg::RULE_NONE;
    wire logic is_ask     = cfg_lane_kind == tick_pkg::RULE_ASK_AT_MOST;
    wire logic is_bid     = cfg_lane_kind == tick_pkg::RULE_BID_AT_LEAST;
    wire logic is_wide    = cfg_lane_kind == tick_pkg::RULE_SPREAD_AT_LEAST;
    wire logic is_tight   = cfg_lane_kind == tick_pkg::RULE_SPREAD_AT_MOST;
    wire logic is_bid_ask = cfg_lane_kind == tick_pkg::RULE_PAIR_BID_ASK;
    wire logic is_ask_bid = cfg_lane_kind == tick_pkg::RULE_PAIR_ASK_BID;
    wire logic is_spread  = is_wide || is_tight;
    wire logic is_pair    = is_bid_ask || is_ask_bid;
    wire logic is_buy     = cfg_lane_side == 2'd1;
    wire logic adds_ask   = cfg_lane_price_mode && (is_ask || is_ask_bid || is_spread && is_buy);
    wire logic adds_bid   = cfg_lane_price_mode && (is_bid || is_bid_ask || is_spread && !is_buy);

    wire logic signed [PRICE_W+1:0] threshold = {cfg_lane_threshold_ticks[PRICE_W], cfg_lane_threshold_ticks};
    wire logic [1:0] bias_step = is_pair ? 2'd2 : is_ask || is_tight ? 2'd0 : 2'd1;  // ~threshold + this is the bias
    wire logic signed [PRICE_W+1:0] bias = ~threshold + {{PRICE_W{1'b0}}, bias_step};
    wire logic [COMPARE_W-1:0] row_compare = {
        // the test's number is the lane's TEST_…
        !is_none, is_ask ? 3'd0 : is_bid ? 3'd1 : is_wide ? 3'd2 : is_tight ? 3'd3 : is_bid_ask ? 3'd4 : 3'd5,
        is_bid || is_spread || is_bid_ask, is_ask || is_spread || is_ask_bid, cfg_lane_rule, bias,
        adds_bid, adds_ask, cfg_lane_price_ticks};

    wire logic row_makes_sense = 32'(cfg_lane_index) < SLOTS && 32'(cfg_lane_number) < LANES && (is_none ||
        (is_ask || is_bid || is_spread || is_pair) && 32'(cfg_lane_rule) < RULES && 32'(cfg_lane_order_slot) < SLOTS &&
        (cfg_lane_side == 2'd1 || cfg_lane_side == 2'd2) &&
        (!is_pair || 32'(cfg_lane_other) < SLOTS && cfg_lane_other != cfg_lane_index));
    wire logic slot_makes_sense = 32'(cfg_slot_index) < SLOTS;
    // Of two commands in one clock the clearing is heard; a bus gives one at a time.
    wire logic accept_clear = cfg_slot_clear && slot_makes_sense && !hold_q;
    wire logic accept_write = cfg_lane_write && row_makes_sense && !cfg_slot_clear && !hold_q;
    wire logic refuse = !hold_q && (cfg_slot_clear && !slot_makes_sense || cfg_lane_write && !accept_write);

    // ---- the top under decision ----
    logic              valid_q;
    logic [1:0]        phase_q;  // clocks since it was taken, up to 2
    logic [SLOT_W-1:0] slot_q;
    logic              known_q, has_bid_q, has_ask_q;
    logic signed [PRICE_W-1:0] bid_q, ask_q;
    logic signed [PRICE_W:0]   spread_q;
    logic [63:0]       at_ns_q;
    logic [31:0]       stamp_q;

    // ---- the top that was decided, in the clock after (live_q) and as long as its order waits ----
    logic              live_q, settle_q, order_id_ok_q;
    logic [31:0]       order_stamp_q;

    logic [RULES-1:0]  armed_q;
    logic [62:0]       fired_count_q;
    logic [63:0]       next_id_q;  // right again two clocks after an order
    logic              base_ok_q;
    // An order is counted a clock late, so that the long way to `fire` does not end at all of the counter's enables.
    wire logic [63:0]  next_id = cfg_intent_base + {1'b0, fired_count_q} + {63'd0, settle_q};

    wire logic [LANES-1:0]         lane_pair, lane_may_fire, lane_fires, lane_unknown, lane_absent, lane_fits;
    wire logic [LANES*RULE_W-1:0]  lane_rule;
    wire logic [LANES*SLOT_W-1:0]  lane_slot;
    wire logic [LANES*2-1:0]       lane_side;
    wire logic [LANES*PRICE_W-1:0] lane_price;
    wire logic [LANES*QTY_W-1:0]   lane_lots;

    logic offered_q;  // what the lanes registered is offered, if a row of it fires
    assign m_order_tvalid = offered_q && order_id_ok_q && |lane_fires;
    wire logic fire = live_q && m_order_tvalid;

    // A waiting order stops the top behind it, and so that this takes no time to find out, so does one that may come; and
    // the clock in which a rule is disarmed and the next intent id is made.
    wire logic clear_to_decide = !(offered_q && |lane_may_fire) && !settle_q && (phase_q == 2'd2 || !(|lane_pair));
    wire logic decide = valid_q && clear_to_decide;
    assign s_top_tready = (!valid_q || clear_to_decide) && !hold_q && !pause_q;
    wire logic take = s_top_tvalid && s_top_tready;

    // A top is kept a clock after it was taken. A cleared slot's top is forgotten when that is through: no top is taken
    // in the clock before.
    wire logic keep_write = init_q || forget_q || valid_q && phase_q == 2'd0;
    wire logic [SLOT_W-1:0] keep_index = init_q ? init_index_q : forget_q ? forget_index_q : slot_q;
    wire logic [KEEP_W-1:0] keep_value = init_q || forget_q ? '0 : {known_q, has_bid_q, has_ask_q, bid_q, ask_q};

    genvar lane;
    generate
        for (lane = 0; lane < LANES; lane = lane + 1) begin : g_lane
            trigger_lane #(
                .SLOT_W(SLOT_W), .RULES(RULES), .RULE_W(RULE_W), .PRICE_W(PRICE_W), .QTY_W(QTY_W)
            ) i_lane (
                .clk(clk),
                .row_write(init_q || clear_q || write_q && command_lane_q == LANE_W'(lane)),
                .row_index(init_q ? init_index_q : command_index_q),
                .row_compare(init_q || clear_q ? {COMPARE_W{1'b0}} : command_compare_q),
                .row_rest(command_rest_q),
                .keep_write(keep_write),
                .keep_index(keep_index),
                .keep_value(keep_value),
                .take(take),
                .slot(s_top_slot),
                .phase(phase_q),
                .top_known(known_q),
                .top_has_bid(has_bid_q),
                .top_has_ask(has_ask_q),
                .top_bid_ticks(bid_q),
                .top_ask_ticks(ask_q),
                .top_spread_ticks(spread_q),
                .armed(armed_q),
                .is_pair(lane_pair[lane]),
                .load(decide),
                .may_fire(lane_may_fire[lane]),
                .fires(lane_fires[lane]),
                .unknown(lane_unknown[lane]),
                .absent(lane_absent[lane]),
                .rule(lane_rule[lane*RULE_W +: RULE_W]),
                .order_slot(lane_slot[lane*SLOT_W +: SLOT_W]),
                .order_side(lane_side[lane*2 +: 2]),
                .order_price_ticks(lane_price[lane*PRICE_W +: PRICE_W]),
                .order_fits(lane_fits[lane]),
                .order_lots(lane_lots[lane*QTY_W +: QTY_W])
            );
        end
    endgenerate

    // The lowest lane that holds fires.
    logic [LANE_W-1:0] winner;
    logic              second;  // another one holds
    integer            i;
    always_comb begin
        winner = '0;
        second = 1'b0;
        for (i = LANES - 1; i >= 0; i = i - 1) begin
            if (lane_fires[i]) begin
                second = |(lane_fires >> (i + 1));
                winner = LANE_W'(i);
            end
        end
    end

    wire logic [RULE_W-1:0] winner_rule = lane_rule[winner*RULE_W +: RULE_W];
    assign m_order_kind = tick_pkg::GATE_CHECK;
    assign m_order_slot = lane_slot[winner*SLOT_W +: SLOT_W];
    assign m_order_side = lane_side[winner*2 +: 2];
    assign m_order_price_ticks = lane_price[winner*PRICE_W +: PRICE_W];
    assign m_order_lots = lane_lots[winner*QTY_W +: QTY_W];
    assign m_order_fits = lane_fits[winner];
    assign m_order_tag  = {{32-RULE_W{1'b0}}, winner_rule, order_stamp_q};

    // What fired a clock ago is disarmed, then what is asked for is armed, then what is to be disarmed is.
    wire logic [RULES-1:0] one = {{RULES-1{1'b0}}, 1'b1};
    wire logic [RULES-1:0] armed_d =
        (armed_q & ~(settle_q ? one << sts_last_rule : '0) | (cfg_arm ? one << cfg_rule_index : '0)) &
        ~(cfg_disarm ? one << cfg_rule_index : '0) & ~{RULES{cfg_disarm_all}};

    assign sts_hold = hold_q;
    assign sts_armed = 64'(armed_q);
    assign sts_fired_count = {1'b0, fired_count_q};

    logic unknown_q, absent_q, no_id_q, second_q;
    wire logic unused_lots = &{1'b0, s_top_bid_lots, s_top_ask_lots};

    always_ff @(posedge clk) begin
        write_q <= accept_write;
        clear_q <= accept_clear;
        cleared_q <= clear_q;
        pause_q   <= cleared_q;
        forget_q  <= pause_q;
        command_index_q <= cfg_slot_clear ? cfg_slot_index : cfg_lane_index;
        cleared_index_q <= command_index_q;
        pause_index_q   <= cleared_index_q;
        forget_index_q  <= pause_index_q;
        command_lane_q  <= cfg_lane_number;
        command_compare_q  <= row_compare;
        command_rest_q  <= {cfg_lane_other, cfg_lane_order_slot, cfg_lane_side, cfg_lane_lots};
        init_index_q    <= init_index_q + 1'b1;
        if (&init_index_q) init_q <= 1'b0;
        hold_q <= init_q;  // the last row is written a clock later

        if (take) begin
            slot_q    <= s_top_slot;
            known_q   <= s_top_known;
            has_bid_q <= s_top_has_bid;
            has_ask_q <= s_top_has_ask;
            bid_q     <= s_top_bid_ticks;
            ask_q     <= s_top_ask_ticks;
            spread_q  <= {s_top_ask_ticks[PRICE_W-1], s_top_ask_ticks} - {s_top_bid_ticks[PRICE_W-1], s_top_bid_ticks};
            at_ns_q   <= s_top_at_ns;
            stamp_q   <= s_top_stamp;
        end
        if (take) valid_q <= 1'b1;
        else if (decide) valid_q <= 1'b0;
        if (take) phase_q <= 2'd0;
        else if (phase_q != 2'd2) phase_q <= phase_q + 2'd1;

        if (decide) begin  // no top is decided while an order waits, so what is offered holds
            m_order_at_ns     <= at_ns_q;
            m_order_intent_id <= next_id_q;
            order_id_ok_q     <= base_ok_q && !next_id_q[63];
            order_stamp_q     <= stamp_q;
        end
        live_q    <= decide;
        offered_q <= decide || m_order_tvalid && !m_order_tready;
        settle_q  <= fire;

        armed_q <= armed_d;
        if (fire) sts_last_rule <= winner_rule;
        if (settle_q && !(&fired_count_q)) fired_count_q <= fired_count_q + 1'b1;
        next_id_q <= next_id;
        base_ok_q <= !cfg_intent_base[63] && |cfg_intent_base;

        unknown_q <= live_q && |lane_unknown;
        absent_q  <= live_q && |lane_absent;
        no_id_q   <= live_q && |lane_fires && !order_id_ok_q;
        second_q  <= fire && second;
        if (unknown_q && !(&sts_unknown_count)) sts_unknown_count <= sts_unknown_count + 1'b1;
        if (absent_q && !(&sts_absent_count)) sts_absent_count <= sts_absent_count + 1'b1;
        if (no_id_q && !(&sts_no_id_count)) sts_no_id_count <= sts_no_id_count + 1'b1;
        if (second_q && !(&sts_passed_over_count)) sts_passed_over_count <= sts_passed_over_count + 1'b1;
        if (refuse && !(&sts_refused_count)) sts_refused_count <= sts_refused_count + 1'b1;

        if (rst) begin
            init_q       <= 1'b1;
            hold_q       <= 1'b1;
            init_index_q <= '0;
            write_q  <= 1'b0;
            clear_q  <= 1'b0;
            cleared_q <= 1'b0;
            pause_q  <= 1'b0;
            forget_q <= 1'b0;
            valid_q   <= 1'b0;
            live_q    <= 1'b0;
            offered_q <= 1'b0;
            settle_q  <= 1'b0;
            armed_q   <= '0;
            fired_count_q <= '0;
            sts_last_rule <= '0;
            unknown_q <= 1'b0;
            absent_q  <= 1'b0;
            no_id_q   <= 1'b0;
            second_q  <= 1'b0;
            sts_unknown_count     <= '0;
            sts_absent_count      <= '0;
            sts_no_id_count       <= '0;
            sts_passed_over_count <= '0;
            sts_refused_count     <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(SLOT_W + 2 * PRICE_W + 2 * BOOK_QTY_W + 99), .ASSUME(1)) s_top_i (
        .clk, .rst, .tvalid(s_top_tvalid), .tready(s_top_tready),
        .payload({s_top_slot, s_top_known, s_top_has_bid, s_top_bid_ticks, s_top_bid_lots, s_top_has_ask, s_top_ask_ticks,
                  s_top_ask_lots, s_top_at_ns, s_top_stamp})
    );
    axis_rules #(.WIDTH(SLOT_W + PRICE_W + QTY_W + 197)) m_order_i (
        .clk, .rst, .tvalid(m_order_tvalid), .tready(m_order_tready),
        .payload({m_order_kind, m_order_slot, m_order_side, m_order_price_ticks, m_order_lots, m_order_fits, m_order_at_ns,
                  m_order_intent_id, m_order_tag})
    );
    counter_rules #(.WIDTH(64)) fired_i (.clk, .rst, .count(sts_fired_count));
    counter_rules #(.WIDTH(COUNT_W)) unknown_i (.clk, .rst, .count(sts_unknown_count));
    counter_rules #(.WIDTH(COUNT_W)) absent_i (.clk, .rst, .count(sts_absent_count));
    counter_rules #(.WIDTH(COUNT_W)) no_id_i (.clk, .rst, .count(sts_no_id_count));
    counter_rules #(.WIDTH(COUNT_W)) passed_over_i (.clk, .rst, .count(sts_passed_over_count));
    counter_rules #(.WIDTH(COUNT_W)) refused_i (.clk, .rst, .count(sts_refused_count));

    // Any rule, followed by what was commanded and what was offered. What is offered was decided a clock before.
    (* anyconst *) logic [RULE_W-1:0] any_rule;
    logic f_armed_q, f_was_armed_q, f_waits_q, f_fired_q;
    wire logic f_begins = m_order_tvalid && !f_waits_q;
    wire logic f_of_rule = m_order_tag[32 +: RULE_W] == any_rule;
    always_ff @(posedge clk) begin
        f_armed_q <= (f_armed_q && !f_fired_q || cfg_arm && cfg_rule_index == any_rule) &&
                     !(cfg_disarm && cfg_rule_index == any_rule) && !cfg_disarm_all;
        f_fired_q     <= f_begins && f_of_rule;
        f_was_armed_q <= f_armed_q;
        f_waits_q     <= m_order_tvalid && !m_order_tready;
        if (rst) begin
            f_armed_q     <= 1'b0;
            f_fired_q     <= 1'b0;
            f_was_armed_q <= 1'b0;
            f_waits_q     <= 1'b0;
        end
    end
    always_comb begin
        assume (32'(any_rule) < RULES);
        if (ran_q) begin
            was_armed: assert (!f_begins || !f_of_rule || f_was_armed_q);
            shown:     assert (sts_armed[any_rule] == f_armed_q);
            has_id:    assert (!m_order_tvalid || !m_order_intent_id[63] && m_order_intent_id != 0);
            // What has to be known of a state for the laws above to follow from it.
            id_ok:     assert (!order_id_ok_q || !offered_q || !m_order_intent_id[63] && m_order_intent_id != 0);
            next_id_:  assert (!base_ok_q || next_id_q != 0);
            may:       assert (!offered_q || (lane_fires & ~lane_may_fire) == '0);
            begun:     assert (f_waits_q == (offered_q && !live_q));
            fired:     assert (f_fired_q == (settle_q && sts_last_rule == any_rule));
        end
    end
`endif
endmodule
`default_nettype wire
