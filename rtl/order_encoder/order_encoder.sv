// SPDX-License-Identifier: Apache-2.0
// Order encoder: every order that the gate passed becomes one message on a 64-bit stream; its first byte is tdata[7:0].
//
// A verdict that is no check, or is refused, is dropped; so is a passed one while cfg_kill is high, one of a slot without
// a listing, and one with a value that the message cannot hold. Each is counted, by the first that applies. A message
// that has begun is finished whatever cfg_kill does: half a frame helps nobody. While cfg_kill is high a verdict is taken
// in every clock, though the stream be held up, so that none is left to leave when the switch goes off.
//   cfg_format_ouch 0   the SDK's frame of one Order record, 160 bytes in 20 beats, little-endian:
//                       header 0 … 5, then the record: order id, listing | action side kind state, price, lots, filled,
//                       intent id, decision, arrival, venue | reason clock flags, strategy | book, algo | version,
//                       trader | account, source time, receive time
//   cfg_format_ouch 1   length (u16: 49) and an enter order in OUCH's shape, 51 bytes in 7 beats, big-endian: 'O', 14 hex
//                       digits of the order id, 'B' or 'S', u32 shares, 8 characters of symbol, signed 32-bit price, u32
//                       time in force, 4 characters of firm, display, 'P', 'N', u32 0, 'N', customer type
// The order's id is cfg_order_base + messages before, in 1 … 2**63 - 1, of an OUCH order below 2**56. Format and all ids
// are taken as they are when the verdict is; a change of the base or of a listing is in force three clocks later.
//
// After reset no slot has a listing: the table is emptied for 2**SLOT_W clocks; meanwhile sts_hold is high, no verdict is
// taken but to be dropped with cfg_kill high, and table commands are not heard.
//
// Latency 1 clock, then a beat per clock. A verdict that is dropped takes a clock, a message as many as it has beats; the
// next verdict is taken with its last beat. s_verdict_tready is combinational from m_axis_tready and cfg_kill.
`default_nettype none
module order_encoder #(
    parameter int SLOTS   = 256,
    parameter int PRICE_W = 32,  // bits of a signed price, ticks; at most 64
    parameter int QTY_W   = 24,  // bits of an order's lots; at most 63
    parameter int COUNT_W = 32,  // bits of the counters, which stop at their largest value
    parameter int SLOT_W  = SLOTS > 1 ? $clog2(SLOTS) : 1
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic                      cfg_kill,          // begin no message
    input  wire logic                      cfg_format_ouch,
    input  wire logic [63:0]               cfg_order_base,    // id of the first order; 0: no order has an id
    input  wire logic                      cfg_order_kind,    // 0 LIMIT, 1 IOC
    input  wire logic [15:0]               cfg_producer,
    input  wire logic [31:0]               cfg_venue_id,
    input  wire logic [31:0]               cfg_strategy_id,
    input  wire logic [31:0]               cfg_book_id,
    input  wire logic [31:0]               cfg_algo_id,
    input  wire logic [31:0]               cfg_algo_version,
    input  wire logic [31:0]               cfg_trader_id,
    input  wire logic [31:0]               cfg_account_id,
    input  wire logic [31:0]               cfg_ouch_time_in_force,
    input  wire logic [31:0]               cfg_ouch_firm,     // characters, the first one in bits 7:0
    input  wire logic [7:0]                cfg_ouch_display,
    input  wire logic [7:0]                cfg_ouch_customer,
    input  wire logic                      cfg_listing_write, // one clock: set a slot's listing
    input  wire logic [SLOT_W-1:0]         cfg_listing_index,
    input  wire logic                      cfg_listing_valid, // 0: orders of the slot are dropped
    input  wire logic [31:0]               cfg_listing_id,
    input  wire logic [63:0]               cfg_listing_symbol,  // characters, the first one in bits 7:0

    input  wire logic                      s_verdict_tvalid,
    output wire logic                      s_verdict_tready,
    input  wire logic [1:0]                s_verdict_kind,
    input  wire logic [7:0]                s_verdict_reason,
    input  wire logic [SLOT_W-1:0]         s_verdict_slot,
    input  wire logic [1:0]                s_verdict_side,
    input  wire logic signed [PRICE_W-1:0] s_verdict_price_ticks,
    input  wire logic [QTY_W-1:0]          s_verdict_lots,
    input  wire logic [63:0]               s_verdict_at_ns,
    input  wire logic [63:0]               s_verdict_intent_id,
    input  wire logic [63:0]               s_verdict_tag,     // {rule, stamp}

    output      logic [63:0]               m_axis_tdata,
    output      logic [7:0]                m_axis_tkeep,
    output      logic                      m_axis_tvalid,
    input  wire logic                      m_axis_tready,
    output      logic                      m_axis_tlast,

    output wire logic                      sts_hold,
    output      logic                      sts_first_beat,    // the first clock in which a message is offered …
    output      logic [63:0]               sts_first_tag,     // … and the tag of its order
    output wire logic [63:0]               sts_sent_count,    // messages begun
    output      logic [COUNT_W-1:0]        sts_other_count,   // verdicts on no check
    output      logic [COUNT_W-1:0]        sts_refused_count, // refused ones
    output      logic [COUNT_W-1:0]        sts_killed_count,  // passed ones, while cfg_kill is high
    output      logic [COUNT_W-1:0]        sts_unlisted_count,  // … of a slot without a listing
    output      logic [COUNT_W-1:0]        sts_range_count    // … with a value that the message cannot hold
);
    localparam logic [4:0] FRAME_LAST = 5'd19, OUCH_LAST = 5'd6;  // beats, from 0
    localparam logic [15:0] OUCH_BYTES = 16'd49;

    initial begin
        if (SLOTS < 1 || SLOT_W < $clog2(SLOTS)) $fatal(1, "%m: SLOTS=%0d, wanted 1 or more", SLOTS);
        if (PRICE_W < 2 || PRICE_W > 64) $fatal(1, "%m: PRICE_W=%0d, wanted 2 to 64", PRICE_W);
        if (QTY_W < 1 || QTY_W > 63) $fatal(1, "%m: QTY_W=%0d, wanted 1 to 63", QTY_W);
        if (penstock_pkg::FRAME_HEADER_BYTES != 48 || penstock_pkg::ORDER_BYTES != 112)
            $fatal(1, "%m: a frame of one order has another length than the 160 bytes that are sent");
    end

    // ---- listings; what decides is distributed RAM, read in the clock of the verdict ----
    (* ram_style = "distributed" *) logic        listed_ram  [0:(1 << SLOT_W)-1];
    (* ram_style = "block" *)       logic [95:0] listing_ram [0:(1 << SLOT_W)-1];
    logic              init_q, write_q, valid_q;
    logic [SLOT_W-1:0] init_index_q, index_q;
    logic [95:0]       write_listing_q, read_listing_q, listing_q;  // listing_q is there with the second beat
    wire logic listed = listed_ram[s_verdict_slot];

    // ---- the id that the next order gets, and whether it has one; right again four clocks after a message began ----
    logic [62:0] sent_q;
    logic [63:0] sum_q, next_id_q;
    logic        base_ok_q, id_ok_q, id_short_q;

    // ---- judging ----
    wire logic open  = !m_axis_tvalid || m_axis_tready && m_axis_tlast;
    // With the kill switch on nothing may wait: what waited would leave when it goes off.
    assign s_verdict_tready = cfg_kill || open && !init_q;
    wire logic take = s_verdict_tvalid && s_verdict_tready;

    // Sign-extended by 64 bits, so that the ranges below are there in any width.
    wire logic signed [63+PRICE_W:0] price = {{64{s_verdict_price_ticks[PRICE_W-1]}}, s_verdict_price_ticks};
    wire logic [63+QTY_W:0] lots = {64'd0, s_verdict_lots};
    wire logic ouch_fits = id_short_q && (&price[63+PRICE_W:31] || !(|price[63+PRICE_W:31])) && !(|lots[63+QTY_W:32]);
    wire logic fits = id_ok_q && (s_verdict_side == penstock_pkg::SIDE_BUY[1:0] ||
                      s_verdict_side == penstock_pkg::SIDE_SELL[1:0]) && (!cfg_format_ouch || ouch_fits);
    wire logic is_check = s_verdict_kind == tick_pkg::GATE_CHECK;
    wire logic passed   = is_check && s_verdict_reason == penstock_pkg::REASON_NONE[7:0];
    wire logic begins   = take && passed && !cfg_kill && listed && fits;

    // ---- the message ----
    logic        ouch_q;
    logic [4:0]  beat_q;  // the next one
    logic [63:0] order_id_q, seq_q, at_ns_q, intent_id_q, price_q, lots_q;
    logic [1:0]  side_q;
    logic        ioc_q;
    logic [15:0] producer_q;
    logic [31:0] venue_q, strategy_q, book_q, algo_q, algo_version_q, trader_q, account_q;
    logic [31:0] time_in_force_q, firm_q;
    logic [7:0]  display_q, customer_q;

    wire logic [31:0] listing_id = listing_q[31:0];
    wire logic [63:0] symbol     = listing_q[95:32];

    wire logic [7:0] kind = ioc_q ? penstock_pkg::ORDER_KIND_IOC : penstock_pkg::ORDER_KIND_LIMIT;
    wire logic [63:0] first_of_frame = {penstock_pkg::ORIGIN_EXTERNAL, penstock_pkg::ORDER_VERSION, penstock_pkg::ORDER_ID,
                                        16'd0, penstock_pkg::ORDER_BYTES};
    wire logic [20*64-1:0] frame = {
        at_ns_q,
        at_ns_q,
        account_q, trader_q,
        algo_version_q, algo_q,
        book_q, strategy_q,
        8'd0, penstock_pkg::CLOCK_KIND_HARDWARE, penstock_pkg::REASON_NONE, venue_q,
        penstock_pkg::ABSENT,
        penstock_pkg::ABSENT,
        intent_id_q,
        64'd0,
        lots_q,
        price_q,
        penstock_pkg::ORDER_STATE_ROUTED, kind, {6'd0, side_q}, penstock_pkg::INTENT_ACTION_NEW, listing_id,
        order_id_q,
        producer_q, penstock_pkg::ORDER_BYTES, 32'd1,
        penstock_pkg::ABSENT,
        penstock_pkg::ABSENT,
        at_ns_q,
        seq_q,
        first_of_frame};

    // 14 digits, the first one in bits 7:0; the first beat's five are those of the next id, before it is the order's own.
    wire logic [111:0] token;
    genvar digit;
    generate
        for (digit = 0; digit < 14; digit = digit + 1) begin : g_token
            wire logic [3:0] nibble = digit < 5 ? next_id_q[(13-digit)*4 +: 4] : order_id_q[(13-digit)*4 +: 4];
            assign token[digit*8 +: 8] = nibble < 4'd10 ? {4'h3, nibble} : {4'h4, nibble - 4'd9};
        end
    endgenerate
    wire logic [63:0] first_of_ouch = {token[39:0], "O", OUCH_BYTES[7:0], OUCH_BYTES[15:8]};
    wire logic [7*64-1:0] ouch = {
        40'd0, customer_q, "N", 8'd0,
        24'd0, "N", "P", display_q, firm_q[31:16],
        firm_q[15:0], time_in_force_q[7:0], time_in_force_q[15:8], time_in_force_q[23:16], time_in_force_q[31:24],
        price_q[7:0], price_q[15:8],
        price_q[23:16], price_q[31:24], symbol[63:16],
        symbol[15:0], lots_q[7:0], lots_q[15:8], lots_q[23:16], lots_q[31:24], side_q[0] ? "B" : "S", token[111:104],
        token[103:40],
        64'd0};

    logic other_q, refused_q, killed_q, unlisted_q, range_q;
    assign sts_hold = init_q;
    assign sts_sent_count = {1'b0, sent_q};

    always_ff @(posedge clk) begin
        if (init_q || write_q) listed_ram[init_q ? init_index_q : index_q] <= valid_q && !init_q;
    end
    always_ff @(posedge clk) begin
        if (write_q) listing_ram[index_q] <= write_listing_q;
        if (open) read_listing_q <= listing_ram[s_verdict_slot];
        listing_q <= read_listing_q;
    end

    always_ff @(posedge clk) begin
        init_index_q <= init_index_q + 1'b1;
        if (&init_index_q) init_q <= 1'b0;
        write_q <= cfg_listing_write && !init_q && 32'(cfg_listing_index) < SLOTS;
        index_q <= cfg_listing_index;
        valid_q <= cfg_listing_valid;
        write_listing_q <= {cfg_listing_symbol, cfg_listing_id};

        // Registers twice over, so that no carry chain is followed by a comparison in one clock.
        sum_q      <= cfg_order_base + {1'b0, sent_q};
        base_ok_q  <= !cfg_order_base[63] && |cfg_order_base;
        next_id_q  <= sum_q;
        id_ok_q    <= base_ok_q && !sum_q[63];
        id_short_q <= !(|sum_q[63:56]);

        if (open) begin  // means something only with a message that begins
            ouch_q          <= cfg_format_ouch;
            order_id_q      <= next_id_q;
            seq_q           <= {1'b0, sent_q};
            at_ns_q         <= s_verdict_at_ns;
            intent_id_q     <= s_verdict_intent_id;
            price_q         <= price[63:0];
            lots_q          <= lots[63:0];
            side_q          <= s_verdict_side;
            ioc_q           <= cfg_order_kind;
            producer_q      <= cfg_producer;
            venue_q         <= cfg_venue_id;
            strategy_q      <= cfg_strategy_id;
            book_q          <= cfg_book_id;
            algo_q          <= cfg_algo_id;
            algo_version_q  <= cfg_algo_version;
            trader_q        <= cfg_trader_id;
            account_q       <= cfg_account_id;
            time_in_force_q <= cfg_ouch_time_in_force;
            firm_q          <= cfg_ouch_firm;
            display_q       <= cfg_ouch_display;
            customer_q      <= cfg_ouch_customer;
            sts_first_tag   <= s_verdict_tag;
        end

        if (open) begin
            m_axis_tvalid <= begins;
            m_axis_tdata  <= cfg_format_ouch ? first_of_ouch : first_of_frame;
            m_axis_tkeep  <= 8'hff;
            m_axis_tlast  <= 1'b0;
            beat_q        <= 5'd1;
        end else if (m_axis_tready) begin
            m_axis_tdata <= ouch_q ? ouch[beat_q[2:0]*64 +: 64] : frame[beat_q*64 +: 64];
            m_axis_tkeep <= ouch_q && beat_q == OUCH_LAST ? 8'h07 : 8'hff;
            m_axis_tlast <= beat_q == (ouch_q ? OUCH_LAST : FRAME_LAST);
            beat_q       <= beat_q + 5'd1;
        end
        sts_first_beat <= begins;
        // Counted a clock late, so that the long way to the decision does not end at all of the counter's enables.
        if (sts_first_beat && !(&sent_q)) sent_q <= sent_q + 1'b1;

        other_q    <= take && !is_check;
        refused_q  <= take && is_check && !passed;
        killed_q   <= take && passed && cfg_kill;
        unlisted_q <= take && passed && !cfg_kill && !listed;
        range_q    <= take && passed && !cfg_kill && listed && !fits;
        if (other_q && !(&sts_other_count)) sts_other_count <= sts_other_count + 1'b1;
        if (refused_q && !(&sts_refused_count)) sts_refused_count <= sts_refused_count + 1'b1;
        if (killed_q && !(&sts_killed_count)) sts_killed_count <= sts_killed_count + 1'b1;
        if (unlisted_q && !(&sts_unlisted_count)) sts_unlisted_count <= sts_unlisted_count + 1'b1;
        if (range_q && !(&sts_range_count)) sts_range_count <= sts_range_count + 1'b1;

        if (rst) begin
            init_q        <= 1'b1;
            init_index_q  <= '0;
            write_q       <= 1'b0;
            m_axis_tvalid <= 1'b0;
            m_axis_tlast  <= 1'b0;
            sts_first_beat <= 1'b0;
            sent_q     <= '0;
            other_q    <= 1'b0;
            refused_q  <= 1'b0;
            killed_q   <= 1'b0;
            unlisted_q <= 1'b0;
            range_q    <= 1'b0;
            sts_other_count    <= '0;
            sts_refused_count  <= '0;
            sts_killed_count   <= '0;
            sts_unlisted_count <= '0;
            sts_range_count    <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(SLOT_W + PRICE_W + QTY_W + 204), .ASSUME(1)) s_verdict_i (
        .clk, .rst, .tvalid(s_verdict_tvalid), .tready(s_verdict_tready),
        .payload({s_verdict_kind, s_verdict_reason, s_verdict_slot, s_verdict_side, s_verdict_price_ticks, s_verdict_lots,
                  s_verdict_at_ns, s_verdict_intent_id, s_verdict_tag})
    );
    axis_rules #(.WIDTH(73)) m_axis_i (
        .clk, .rst, .tvalid(m_axis_tvalid), .tready(m_axis_tready), .payload({m_axis_tlast, m_axis_tkeep, m_axis_tdata})
    );
    counter_rules #(.WIDTH(64)) sent_i (.clk, .rst, .count(sts_sent_count));
    counter_rules #(.WIDTH(COUNT_W)) other_i (.clk, .rst, .count(sts_other_count));
    counter_rules #(.WIDTH(COUNT_W)) refused_i (.clk, .rst, .count(sts_refused_count));
    counter_rules #(.WIDTH(COUNT_W)) killed_i (.clk, .rst, .count(sts_killed_count));
    counter_rules #(.WIDTH(COUNT_W)) unlisted_i (.clk, .rst, .count(sts_unlisted_count));
    counter_rules #(.WIDTH(COUNT_W)) range_i (.clk, .rst, .count(sts_range_count));

    // The beats of a message, counted at the port; and what was taken a clock ago.
    logic [4:0] f_beat_q;
    logic       f_ouch_q, f_killed_q, f_passed_q;
    logic       f_met_q;  // a verdict waits that has met the kill switch
    always_ff @(posedge clk) begin
        f_killed_q <= cfg_kill;
        f_passed_q <= s_verdict_tvalid && s_verdict_tready && s_verdict_kind == 2'd0 && s_verdict_reason == 8'd0;
        if (s_verdict_tvalid && s_verdict_tready && !cfg_kill) f_ouch_q <= cfg_format_ouch;
        f_met_q <= s_verdict_tvalid && !s_verdict_tready && (cfg_kill || f_met_q);
        if (m_axis_tvalid && m_axis_tready) f_beat_q <= m_axis_tlast ? 5'd0 : f_beat_q + 5'd1;
        if (rst) begin
            f_beat_q   <= 5'd0;
            f_passed_q <= 1'b0;
            f_met_q    <= 1'b0;
        end
    end
    always_comb if (ran_q) begin
        killed:  assert (!sts_first_beat || !f_killed_q);
        none_waits: assert (!f_met_q);
        passed_: assert (!sts_first_beat || f_passed_q);
        first:   assert (!sts_first_beat || m_axis_tvalid && f_beat_q == 5'd0);
        whole:   assert (!m_axis_tvalid || m_axis_tlast == (f_beat_q == (f_ouch_q ? 5'd6 : 5'd19)));
        keep:    assert (!m_axis_tvalid || m_axis_tkeep == (m_axis_tlast && f_ouch_q ? 8'h07 : 8'hff));
        // What has to be known of a state for the laws above to follow from it.
        place:   assert (m_axis_tvalid ? beat_q == f_beat_q + 5'd1 && ouch_q == f_ouch_q : f_beat_q == 5'd0);
        inside:  assert (!m_axis_tvalid || f_beat_q <= (f_ouch_q ? 5'd6 : 5'd19));
    end
    // A message begins in no other clock than the one that says so.
    logic f_ran_twice_q, f_idle_q;
    always_ff @(posedge clk) begin
        f_ran_twice_q <= ran_q && !rst;
        f_idle_q <= !m_axis_tvalid || m_axis_tready && m_axis_tlast;
    end
    always_comb if (ran_q && f_ran_twice_q) begin
        told: assert (!(m_axis_tvalid && f_idle_q) || sts_first_beat);
    end
`endif
endmodule
`default_nettype wire
