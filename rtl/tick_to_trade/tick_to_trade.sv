// SPDX-License-Identifier: Apache-2.0
// Market data in, orders out: the whole chain, with what measures it.
//
//   s_axis ─ feed_decoder ─ updates ─ book_top ─ tops ─ trigger ─ orders ─ risk_gate ─ verdicts ─ order_encoder ─ m_axis
//                                                 └─ reference ─ mids ───────┘
//
// Pages of 4 KiB behind s_axil, each naming the next: 0 tick_to_trade, 1 feed_decoder, 2 book_top, 3 trigger, 4 risk_gate,
// 5 order_encoder. `kill` of page 0 reaches the gate and the encoder in one clock: from the second clock after, no order
// message begins; one that has begun ends. After a reset the gate and the encoder are killed by their own pages.
//
// Everything acts in the order in which the market data came: a top's mid is the gate's reference before the top's own
// order is checked, and after those of earlier tops. Commands of page 0 reach the gate between orders. Back-pressure on
// m_axis stalls the chain back to s_axis, nothing is lost.
//
// Latency: 13 clocks from a frame's last beat to the first beat of the order it causes, where the book needs 4 (quotes,
// levels, adds), the rule reads one listing, and the listing delivers in one interval. 1 beat per clock in; the slowest
// messages keep their pace as well (docs/hardware/tick_to_trade.md). s_axis_tready comes from a register.
`default_nettype none
module tick_to_trade #(
    parameter int SLOTS        = 256,   // listings
    parameter int MAP_W        = 10,    // bits of a listing id that choose its row in the map
    parameter int RECORDS_MAX  = 16,    // records of one frame
    parameter int LEVELS       = 4,     // kept levels of a side of a book
    parameter int ORDERS       = 4096,  // kept orders of all books
    parameter int RULES        = 64,    // trigger rules
    parameter int LANES        = 2,     // rows of rules of a listing
    parameter int INTERVALS    = 1024,  // delivery intervals
    parameter int LINKS        = 2048,  // second and further intervals of all listings
    parameter int SEEN_SETS    = 256,   // hash values of remembered intent ids
    parameter int SEEN_WAYS    = 4,     // ids of one hash value
    parameter int PRICE_W      = 32,    // bits of a signed price in ticks
    parameter int BOOK_QTY_W   = 32,    // bits of a book's lots
    parameter int QTY_W        = 24,    // bits of an order's lots
    parameter int NOTIONAL_W   = 56,    // bits of the notional limit
    parameter int KW_W         = 32,    // bits of a signed exposure
    parameter int KW_PER_LOT_W = 16,    // bits of what a lot adds to an exposure
    parameter int BINS         = 64,    // bins of the latency histogram, one clock each
    parameter int TID_W        = 2      // bits of the stream's number
) (
    input  wire logic             clk,
    input  wire logic             rst,  // synchronous, active high

    input  wire logic [63:0]      s_axis_tdata,
    input  wire logic             s_axis_tvalid,
    output wire logic             s_axis_tready,
    input  wire logic             s_axis_tlast,
    input  wire logic [TID_W-1:0] s_axis_tid,

    output wire logic [63:0]      m_axis_tdata,
    output wire logic [7:0]       m_axis_tkeep,
    output wire logic             m_axis_tvalid,
    input  wire logic             m_axis_tready,
    output wire logic             m_axis_tlast,

    input  wire logic [15:0]      s_axil_awaddr,
    input  wire logic             s_axil_awvalid,
    output wire logic             s_axil_awready,
    input  wire logic [31:0]      s_axil_wdata,
    input  wire logic [3:0]       s_axil_wstrb,
    input  wire logic             s_axil_wvalid,
    output wire logic             s_axil_wready,
    output wire logic [1:0]       s_axil_bresp,
    output wire logic             s_axil_bvalid,
    input  wire logic             s_axil_bready,
    input  wire logic [15:0]      s_axil_araddr,
    input  wire logic             s_axil_arvalid,
    output wire logic             s_axil_arready,
    output wire logic [31:0]      s_axil_rdata,
    output wire logic [1:0]       s_axil_rresp,
    output wire logic             s_axil_rvalid,
    input  wire logic             s_axil_rready
);
    localparam int PAGES   = 6;
    localparam int SLOT_W  = $clog2(SLOTS);
    localparam int COUNT_W = 32;
    localparam int TAG_W   = 64;  // {rule, stamp}

    // ---- the bus: one page a block ----
    wire logic [11:0] awaddr, araddr;
    wire logic [31:0] wdata;
    wire logic [3:0]  wstrb;
    wire logic [PAGES-1:0] awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready;
    wire logic [2*PAGES-1:0]  bresp, rresp;
    wire logic [32*PAGES-1:0] rdata;

    axil_split #(
        .PAGES(PAGES)
    ) i_split (
        .clk(clk),
        .rst(rst),
        .s_axil_awaddr(s_axil_awaddr),
        .s_axil_awvalid(s_axil_awvalid),
        .s_axil_awready(s_axil_awready),
        .s_axil_wdata(s_axil_wdata),
        .s_axil_wstrb(s_axil_wstrb),
        .s_axil_wvalid(s_axil_wvalid),
        .s_axil_wready(s_axil_wready),
        .s_axil_bresp(s_axil_bresp),
        .s_axil_bvalid(s_axil_bvalid),
        .s_axil_bready(s_axil_bready),
        .s_axil_araddr(s_axil_araddr),
        .s_axil_arvalid(s_axil_arvalid),
        .s_axil_arready(s_axil_arready),
        .s_axil_rdata(s_axil_rdata),
        .s_axil_rresp(s_axil_rresp),
        .s_axil_rvalid(s_axil_rvalid),
        .s_axil_rready(s_axil_rready),
        .m_axil_awaddr(awaddr),
        .m_axil_awvalid(awvalid),
        .m_axil_awready(awready),
        .m_axil_wdata(wdata),
        .m_axil_wstrb(wstrb),
        .m_axil_wvalid(wvalid),
        .m_axil_wready(wready),
        .m_axil_bresp(bresp),
        .m_axil_bvalid(bvalid),
        .m_axil_bready(bready),
        .m_axil_araddr(araddr),
        .m_axil_arvalid(arvalid),
        .m_axil_arready(arready),
        .m_axil_rdata(rdata),
        .m_axil_rresp(rresp),
        .m_axil_rvalid(rvalid),
        .m_axil_rready(rready)
    );

    // ---- what belongs to no block alone ----
    wire logic              cfg_kill, cfg_pause, cfg_latency_clear;
    wire logic [$clog2(BINS)-1:0] cfg_bin_index;
    wire logic [31:0]       sts_bin_count, sts_overflow_count, sts_latency_count;
    wire logic [31:0]       sts_latency_min, sts_latency_max, sts_latency_last;
    wire logic [63:0]       sts_latency_sum;
    logic [31:0]            cycle_q, sts_sent_count, sts_entry_cycle, sts_exit_cycle;
    wire logic              decoder_hold, book_hold, trigger_hold, gate_hold, encoder_hold, gate_killed, encoder_killed;
    wire logic              first_beat;
    wire logic [TAG_W-1:0]  first_tag;
    wire logic              update_tvalid, update_tready, top_tvalid, top_tready, order_tvalid, order_tready;
    wire logic              gate_tvalid, gate_tready, verdict_tvalid, verdict_tready, ref_hold, frame_lost;
    wire logic              cfg_drain, cfg_lost_disarms, cfg_command_write, sts_command_busy;
    wire logic [1:0]        cfg_command_kind, cfg_command_side;
    wire logic [SLOT_W-1:0] cfg_command_slot;
    wire logic [QTY_W-1:0]  cfg_command_lots;
    wire logic [7:0]        sts_command_reason;
    wire logic [31:0]       sts_command_count;

    // Something is inside: a frame has begun, a stream between two blocks offers something, the book owes a top or the
    // gate a verdict, or one of that was so in the last clocks, as many as a block needs before it shows what it took.
    localparam logic [3:0] QUIET = 4'd12;
    logic       open_q, lost_q, drained_q;
    logic [7:0] book_owes_q, gate_owes_q;
    logic [3:0] quiet_q;
    wire logic busy = s_axis_tvalid && s_axis_tready || open_q || update_tvalid || |book_owes_q || top_tvalid || ref_hold ||
                      order_tvalid || gate_tvalid || |gate_owes_q || verdict_tvalid || m_axis_tvalid;
    wire logic occupied = busy || |quiet_q;

    always_ff @(posedge clk) begin
        if (s_axis_tvalid && s_axis_tready) open_q <= !s_axis_tlast;
        lost_q      <= frame_lost && cfg_lost_disarms;
        book_owes_q <= book_owes_q + 8'(update_tvalid && update_tready) - 8'(top_tvalid && top_tready);
        gate_owes_q <= gate_owes_q + 8'(gate_tvalid && gate_tready) - 8'(verdict_tvalid && verdict_tready);
        if (busy) quiet_q <= QUIET;
        else if (|quiet_q) quiet_q <= quiet_q - 1'b1;
        if (!occupied) drained_q <= 1'b1;
        if (cfg_drain) drained_q <= 1'b0;
        if (rst) begin
            open_q      <= 1'b0;
            lost_q      <= 1'b0;
            book_owes_q <= '0;
            gate_owes_q <= '0;
            quiet_q     <= QUIET;
            drained_q   <= 1'b0;
        end
    end

    tick_to_trade_regs #(
        .NEXT(32'h1000),
        .SLOTS(SLOTS),
        .BINS(BINS),
        .QTY_W(QTY_W)
    ) i_regs (
        .clk(clk),
        .rst(rst),
        .hold(1'b0),
        .s_axil_awaddr(awaddr),
        .s_axil_awvalid(awvalid[0]),
        .s_axil_awready(awready[0]),
        .s_axil_wdata(wdata),
        .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid[0]),
        .s_axil_wready(wready[0]),
        .s_axil_bresp(bresp[1:0]),
        .s_axil_bvalid(bvalid[0]),
        .s_axil_bready(bready[0]),
        .s_axil_araddr(araddr),
        .s_axil_arvalid(arvalid[0]),
        .s_axil_arready(arready[0]),
        .s_axil_rdata(rdata[31:0]),
        .s_axil_rresp(rresp[1:0]),
        .s_axil_rvalid(rvalid[0]),
        .s_axil_rready(rready[0]),
        .cfg_kill(cfg_kill),
        .cfg_pause(cfg_pause),
        .sts_cycle(cycle_q),
        .sts_state_hold(decoder_hold || book_hold || trigger_hold || gate_hold || encoder_hold),
        .sts_state_update_waits(update_tvalid && !update_tready),
        .sts_state_order_waits(order_tvalid && !order_tready),
        .sts_state_output_waits(m_axis_tvalid && !m_axis_tready),
        .sts_state_killed(gate_killed || encoder_killed),
        .sts_state_occupied(occupied),
        .sts_state_drained(drained_q),
        .sts_sent_count(sts_sent_count),
        .sts_entry_cycle(sts_entry_cycle),
        .sts_exit_cycle(sts_exit_cycle),
        .cfg_latency_clear(cfg_latency_clear),
        .cfg_bin_index(cfg_bin_index),
        .sts_bin_count(sts_bin_count),
        .sts_overflow_count(sts_overflow_count),
        .sts_latency_count(sts_latency_count),
        .sts_latency_min_clocks(sts_latency_min),
        .sts_latency_max_clocks(sts_latency_max),
        .sts_latency_last_clocks(sts_latency_last),
        .sts_latency_sum_clocks(sts_latency_sum),
        .cfg_drain(cfg_drain),
        .cfg_lost_disarms(cfg_lost_disarms),
        .cfg_command_kind(cfg_command_kind),
        .cfg_command_slot(cfg_command_slot),
        .cfg_command_side(cfg_command_side),
        .cfg_command_lots(cfg_command_lots),
        .cfg_command_write(cfg_command_write),
        .sts_command_busy(sts_command_busy),
        .sts_command_reason(sts_command_reason),
        .sts_command_count(sts_command_count)
    );

    always_ff @(posedge clk) begin
        cycle_q <= cycle_q + 1'b1;
        if (first_beat) begin
            sts_entry_cycle <= first_tag[31:0];
            sts_exit_cycle  <= cycle_q;
            if (!(&sts_sent_count)) sts_sent_count <= sts_sent_count + 1'b1;
        end
        if (rst) begin
            cycle_q         <= '0;
            sts_sent_count  <= '0;
            sts_entry_cycle <= '0;
            sts_exit_cycle  <= '0;
        end
    end
    wire logic unused = &{1'b0, first_tag[TAG_W-1:32]};

    latency_meter #(
        .BINS(BINS),
        .COUNT_W(32)
    ) i_meter (
        .clk(clk),
        .rst(rst),
        .cycle(cycle_q),
        .measure(first_beat),
        .stamp(first_tag[31:0]),
        .cfg_clear(cfg_latency_clear),
        .cfg_bin_index(cfg_bin_index),
        .sts_bin_count(sts_bin_count),
        .sts_overflow_count(sts_overflow_count),
        .sts_latency_count(sts_latency_count),
        .sts_latency_min(sts_latency_min),
        .sts_latency_max(sts_latency_max),
        .sts_latency_last(sts_latency_last),
        .sts_latency_sum(sts_latency_sum)
    );

    // ---- frames into updates ----
    wire logic [3:0] update_kind;
    wire logic [SLOT_W-1:0] update_slot;
    wire logic [1:0] update_side;
    wire logic update_has_price;
    wire logic signed [PRICE_W-1:0] update_price_ticks;
    wire logic [BOOK_QTY_W-1:0] update_lots;
    wire logic update_has_ask;
    wire logic signed [PRICE_W-1:0] update_ask_ticks;
    wire logic [BOOK_QTY_W-1:0] update_ask_lots;
    wire logic [63:0] update_order_ref;
    wire logic [63:0] update_new_ref;
    wire logic [63:0] update_at_ns;
    wire logic [31:0] update_stamp;

    feed_decoder_axil #(
        .NEXT(32'h2000),
        .SLOTS(SLOTS),
        .MAP_W(MAP_W),
        .RECORDS_MAX(RECORDS_MAX),
        .PRICE_W(PRICE_W),
        .BOOK_QTY_W(BOOK_QTY_W),
        .COUNT_W(COUNT_W),
        .TID_W(TID_W)
    ) i_decoder (
        .clk(clk),
        .rst(rst),
        .hold(decoder_hold),
        .lost(frame_lost),
        .s_axil_awaddr(awaddr),
        .s_axil_awvalid(awvalid[1]),
        .s_axil_awready(awready[1]),
        .s_axil_wdata(wdata),
        .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid[1]),
        .s_axil_wready(wready[1]),
        .s_axil_bresp(bresp[3:2]),
        .s_axil_bvalid(bvalid[1]),
        .s_axil_bready(bready[1]),
        .s_axil_araddr(araddr),
        .s_axil_arvalid(arvalid[1]),
        .s_axil_arready(arready[1]),
        .s_axil_rdata(rdata[63:32]),
        .s_axil_rresp(rresp[3:2]),
        .s_axil_rvalid(rvalid[1]),
        .s_axil_rready(rready[1]),
        .cycle(cycle_q),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast),
        .s_axis_tid(s_axis_tid),
        .m_update_tvalid(update_tvalid),
        .m_update_tready(update_tready),
        .m_update_kind(update_kind),
        .m_update_slot(update_slot),
        .m_update_side(update_side),
        .m_update_has_price(update_has_price),
        .m_update_price_ticks(update_price_ticks),
        .m_update_lots(update_lots),
        .m_update_has_ask(update_has_ask),
        .m_update_ask_ticks(update_ask_ticks),
        .m_update_ask_lots(update_ask_lots),
        .m_update_order_ref(update_order_ref),
        .m_update_new_ref(update_new_ref),
        .m_update_at_ns(update_at_ns),
        .m_update_stamp(update_stamp)
    );

    // ---- updates into best prices ----
    wire logic [SLOT_W-1:0] top_slot;
    wire logic top_known;
    wire logic top_has_bid;
    wire logic signed [PRICE_W-1:0] top_bid_ticks;
    wire logic [BOOK_QTY_W-1:0] top_bid_lots;
    wire logic top_has_ask;
    wire logic signed [PRICE_W-1:0] top_ask_ticks;
    wire logic [BOOK_QTY_W-1:0] top_ask_lots;
    wire logic [63:0] top_at_ns;
    wire logic [31:0] top_stamp;

    book_top_axil #(
        .NEXT(32'h3000),
        .SLOTS(SLOTS),
        .LEVELS(LEVELS),
        .ORDERS(ORDERS),
        .PRICE_W(PRICE_W),
        .BOOK_QTY_W(BOOK_QTY_W),
        .COUNT_W(COUNT_W)
    ) i_book (
        .clk(clk),
        .rst(rst),
        .hold(book_hold),
        .s_axil_awaddr(awaddr),
        .s_axil_awvalid(awvalid[2]),
        .s_axil_awready(awready[2]),
        .s_axil_wdata(wdata),
        .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid[2]),
        .s_axil_wready(wready[2]),
        .s_axil_bresp(bresp[5:4]),
        .s_axil_bvalid(bvalid[2]),
        .s_axil_bready(bready[2]),
        .s_axil_araddr(araddr),
        .s_axil_arvalid(arvalid[2]),
        .s_axil_arready(arready[2]),
        .s_axil_rdata(rdata[95:64]),
        .s_axil_rresp(rresp[5:4]),
        .s_axil_rvalid(rvalid[2]),
        .s_axil_rready(rready[2]),
        .s_update_tvalid(update_tvalid),
        .s_update_tready(update_tready),
        .s_update_kind(update_kind),
        .s_update_slot(update_slot),
        .s_update_side(update_side),
        .s_update_has_price(update_has_price),
        .s_update_price_ticks(update_price_ticks),
        .s_update_lots(update_lots),
        .s_update_has_ask(update_has_ask),
        .s_update_ask_ticks(update_ask_ticks),
        .s_update_ask_lots(update_ask_lots),
        .s_update_order_ref(update_order_ref),
        .s_update_new_ref(update_new_ref),
        .s_update_at_ns(update_at_ns),
        .s_update_stamp(update_stamp),
        .m_top_tvalid(top_tvalid),
        .m_top_tready(top_tready),
        .m_top_slot(top_slot),
        .m_top_known(top_known),
        .m_top_has_bid(top_has_bid),
        .m_top_bid_ticks(top_bid_ticks),
        .m_top_bid_lots(top_bid_lots),
        .m_top_has_ask(top_has_ask),
        .m_top_ask_ticks(top_ask_ticks),
        .m_top_ask_lots(top_ask_lots),
        .m_top_at_ns(top_at_ns),
        .m_top_stamp(top_stamp)
    );

    // ---- best prices into references, and into orders ----
    // A top is offered to the trigger once the reference of the one before has reached the gate.
    wire logic trigger_tready;
    wire logic trigger_tvalid = top_tvalid && !ref_hold;
    assign top_tready = trigger_tready && !ref_hold;

    wire logic ref_tvalid;
    wire logic [SLOT_W-1:0] ref_slot;
    wire logic ref_has_price;
    wire logic signed [PRICE_W-1:0] ref_price_ticks;
    wire logic [63:0] ref_at_ns;

    reference #(
        .SLOTS(SLOTS),
        .PRICE_W(PRICE_W)
    ) i_reference (
        .clk(clk),
        .rst(rst),
        .s_top_taken(trigger_tvalid && trigger_tready),
        .s_top_slot(top_slot),
        .s_top_known(top_known),
        .s_top_has_bid(top_has_bid),
        .s_top_bid_ticks(top_bid_ticks),
        .s_top_has_ask(top_has_ask),
        .s_top_ask_ticks(top_ask_ticks),
        .s_top_at_ns(top_at_ns),
        .order_waits(order_tvalid),
        .hold(ref_hold),
        .m_ref_tvalid(ref_tvalid),
        .m_ref_slot(ref_slot),
        .m_ref_has_price(ref_has_price),
        .m_ref_price_ticks(ref_price_ticks),
        .m_ref_at_ns(ref_at_ns)
    );

    wire logic [1:0] order_kind;
    wire logic [SLOT_W-1:0] order_slot;
    wire logic [1:0] order_side;
    wire logic signed [PRICE_W-1:0] order_price_ticks;
    wire logic [QTY_W-1:0] order_lots;
    wire logic order_fits;
    wire logic [63:0] order_at_ns;
    wire logic [63:0] order_intent_id;
    wire logic [63:0] order_tag;

    trigger_axil #(
        .NEXT(32'h4000),
        .SLOTS(SLOTS),
        .RULES(RULES),
        .LANES(LANES),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .BOOK_QTY_W(BOOK_QTY_W),
        .COUNT_W(COUNT_W)
    ) i_trigger (
        .clk(clk),
        .rst(rst),
        .disarm_all(lost_q),
        .hold(trigger_hold),
        .s_axil_awaddr(awaddr),
        .s_axil_awvalid(awvalid[3]),
        .s_axil_awready(awready[3]),
        .s_axil_wdata(wdata),
        .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid[3]),
        .s_axil_wready(wready[3]),
        .s_axil_bresp(bresp[7:6]),
        .s_axil_bvalid(bvalid[3]),
        .s_axil_bready(bready[3]),
        .s_axil_araddr(araddr),
        .s_axil_arvalid(arvalid[3]),
        .s_axil_arready(arready[3]),
        .s_axil_rdata(rdata[127:96]),
        .s_axil_rresp(rresp[7:6]),
        .s_axil_rvalid(rvalid[3]),
        .s_axil_rready(rready[3]),
        .s_top_tvalid(trigger_tvalid),
        .s_top_tready(trigger_tready),
        .s_top_slot(top_slot),
        .s_top_known(top_known),
        .s_top_has_bid(top_has_bid),
        .s_top_bid_ticks(top_bid_ticks),
        .s_top_bid_lots(top_bid_lots),
        .s_top_has_ask(top_has_ask),
        .s_top_ask_ticks(top_ask_ticks),
        .s_top_ask_lots(top_ask_lots),
        .s_top_at_ns(top_at_ns),
        .s_top_stamp(top_stamp),
        .m_order_tvalid(order_tvalid),
        .m_order_tready(order_tready),
        .m_order_kind(order_kind),
        .m_order_slot(order_slot),
        .m_order_side(order_side),
        .m_order_price_ticks(order_price_ticks),
        .m_order_lots(order_lots),
        .m_order_fits(order_fits),
        .m_order_at_ns(order_at_ns),
        .m_order_intent_id(order_intent_id),
        .m_order_tag(order_tag)
    );

    // ---- orders into verdicts ----
    wire logic [1:0] verdict_kind;
    wire logic [7:0] verdict_reason;
    wire logic [SLOT_W-1:0] verdict_slot;
    wire logic [1:0] verdict_side;
    wire logic signed [PRICE_W-1:0] verdict_price_ticks;
    wire logic [QTY_W-1:0] verdict_lots;
    wire logic [63:0] verdict_at_ns;
    wire logic [63:0] verdict_intent_id;
    wire logic [TAG_W-1:0] verdict_tag;

    // ---- orders, and commands between them, into the gate ----
    wire logic [1:0] gate_kind;
    wire logic [SLOT_W-1:0] gate_slot;
    wire logic [1:0] gate_side;
    wire logic signed [PRICE_W-1:0] gate_price_ticks;
    wire logic [QTY_W-1:0] gate_lots;
    wire logic gate_fits;
    wire logic [63:0] gate_at_ns;
    wire logic [63:0] gate_intent_id;
    wire logic [TAG_W-1:0] gate_tag;

    gate_commands #(
        .SLOTS(SLOTS),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .TAG_W(TAG_W)
    ) i_commands (
        .clk(clk),
        .rst(rst),
        .cfg_command_kind(cfg_command_kind),
        .cfg_command_slot(cfg_command_slot),
        .cfg_command_side(cfg_command_side),
        .cfg_command_lots(cfg_command_lots),
        .cfg_command_write(cfg_command_write),
        .sts_command_busy(sts_command_busy),
        .sts_command_reason(sts_command_reason),
        .sts_command_count(sts_command_count),
        .s_order_tvalid(order_tvalid),
        .s_order_tready(order_tready),
        .s_order_kind(order_kind),
        .s_order_slot(order_slot),
        .s_order_side(order_side),
        .s_order_price_ticks(order_price_ticks),
        .s_order_lots(order_lots),
        .s_order_fits(order_fits),
        .s_order_at_ns(order_at_ns),
        .s_order_intent_id(order_intent_id),
        .s_order_tag(order_tag),
        .m_order_tvalid(gate_tvalid),
        .m_order_tready(gate_tready),
        .m_order_kind(gate_kind),
        .m_order_slot(gate_slot),
        .m_order_side(gate_side),
        .m_order_price_ticks(gate_price_ticks),
        .m_order_lots(gate_lots),
        .m_order_fits(gate_fits),
        .m_order_at_ns(gate_at_ns),
        .m_order_intent_id(gate_intent_id),
        .m_order_tag(gate_tag),
        .verdict_taken(verdict_tvalid && verdict_tready),
        .verdict_kind(verdict_kind),
        .verdict_reason(verdict_reason)
    );

    risk_gate_axil #(
        .NEXT(32'h5000),
        .SLOTS(SLOTS),
        .INTERVALS(INTERVALS),
        .LINKS(LINKS),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .NOTIONAL_W(NOTIONAL_W),
        .KW_W(KW_W),
        .KW_PER_LOT_W(KW_PER_LOT_W),
        .SEEN_SETS(SEEN_SETS),
        .SEEN_WAYS(SEEN_WAYS),
        .TAG_W(TAG_W),
        .COUNT_W(COUNT_W)
    ) i_gate (
        .clk(clk),
        .rst(rst),
        .kill(cfg_kill),
        .pause(cfg_pause),
        .killed(gate_killed),
        .hold(gate_hold),
        .s_axil_awaddr(awaddr),
        .s_axil_awvalid(awvalid[4]),
        .s_axil_awready(awready[4]),
        .s_axil_wdata(wdata),
        .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid[4]),
        .s_axil_wready(wready[4]),
        .s_axil_bresp(bresp[9:8]),
        .s_axil_bvalid(bvalid[4]),
        .s_axil_bready(bready[4]),
        .s_axil_araddr(araddr),
        .s_axil_arvalid(arvalid[4]),
        .s_axil_arready(arready[4]),
        .s_axil_rdata(rdata[159:128]),
        .s_axil_rresp(rresp[9:8]),
        .s_axil_rvalid(rvalid[4]),
        .s_axil_rready(rready[4]),
        .s_ref_tvalid(ref_tvalid),
        .s_ref_slot(ref_slot),
        .s_ref_has_price(ref_has_price),
        .s_ref_price_ticks(ref_price_ticks),
        .s_ref_at_ns(ref_at_ns),
        .s_order_tvalid(gate_tvalid),
        .s_order_tready(gate_tready),
        .s_order_kind(gate_kind),
        .s_order_slot(gate_slot),
        .s_order_side(gate_side),
        .s_order_price_ticks(gate_price_ticks),
        .s_order_lots(gate_lots),
        .s_order_fits(gate_fits),
        .s_order_at_ns(gate_at_ns),
        .s_order_intent_id(gate_intent_id),
        .s_order_tag(gate_tag),
        .m_verdict_tvalid(verdict_tvalid),
        .m_verdict_tready(verdict_tready),
        .m_verdict_kind(verdict_kind),
        .m_verdict_reason(verdict_reason),
        .m_verdict_slot(verdict_slot),
        .m_verdict_side(verdict_side),
        .m_verdict_price_ticks(verdict_price_ticks),
        .m_verdict_lots(verdict_lots),
        .m_verdict_at_ns(verdict_at_ns),
        .m_verdict_intent_id(verdict_intent_id),
        .m_verdict_tag(verdict_tag)
    );

    // ---- verdicts into messages ----
    order_encoder_axil #(
        .NEXT(32'd0),
        .SLOTS(SLOTS),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .COUNT_W(COUNT_W)
    ) i_encoder (
        .clk(clk),
        .rst(rst),
        .kill(cfg_kill),
        .killed(encoder_killed),
        .hold(encoder_hold),
        .first_beat(first_beat),
        .first_tag(first_tag),
        .s_axil_awaddr(awaddr),
        .s_axil_awvalid(awvalid[5]),
        .s_axil_awready(awready[5]),
        .s_axil_wdata(wdata),
        .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid[5]),
        .s_axil_wready(wready[5]),
        .s_axil_bresp(bresp[11:10]),
        .s_axil_bvalid(bvalid[5]),
        .s_axil_bready(bready[5]),
        .s_axil_araddr(araddr),
        .s_axil_arvalid(arvalid[5]),
        .s_axil_arready(arready[5]),
        .s_axil_rdata(rdata[191:160]),
        .s_axil_rresp(rresp[11:10]),
        .s_axil_rvalid(rvalid[5]),
        .s_axil_rready(rready[5]),
        .s_verdict_tvalid(verdict_tvalid),
        .s_verdict_tready(verdict_tready),
        .s_verdict_kind(verdict_kind),
        .s_verdict_reason(verdict_reason),
        .s_verdict_slot(verdict_slot),
        .s_verdict_side(verdict_side),
        .s_verdict_price_ticks(verdict_price_ticks),
        .s_verdict_lots(verdict_lots),
        .s_verdict_at_ns(verdict_at_ns),
        .s_verdict_intent_id(verdict_intent_id),
        .s_verdict_tag(verdict_tag),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tkeep(m_axis_tkeep),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready),
        .m_axis_tlast(m_axis_tlast)
    );
endmodule
`default_nettype wire
