// SPDX-License-Identifier: Apache-2.0
// A risk gate with its register page, for the tops that hold one: risk_gate_regs sets what risk_gate reads.
// `kill` and `pause` come from the top; its switch or the page's kills, or pauses. Latency and throughput are those of risk_gate.
`default_nettype none
module risk_gate_axil #(
    parameter logic [31:0] NEXT = 32'd0,  // address of the next page; 0 after the last
    parameter int SLOTS        = 256,  // listings
    parameter int INTERVALS    = 1024,  // delivery intervals
    parameter int LINKS        = 2048,  // second and further intervals of all listings
    parameter int PRICE_W      = 32,  // bits of a signed price in ticks
    parameter int QTY_W        = 24,  // bits of the lots
    parameter int NOTIONAL_W   = 56,  // bits of the notional limit, in ticks times lots
    parameter int KW_W         = 32,  // bits of a signed exposure
    parameter int KW_PER_LOT_W = 16,  // bits of what a lot adds to an exposure
    parameter int SEEN_SETS    = 256,  // hash values of remembered ids
    parameter int SEEN_WAYS    = 4,  // ids of one hash value
    parameter int TAG_W        = 64,  // bits carried along
    parameter int COUNT_W      = 32,  // bits of the counters, which stop at their largest value
    parameter int CLEAR_W      = 0,  // bits of the cycles after a reset; 0: as many as the tables need. Proofs have fewer
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic clk,
    input  wire logic rst,  // synchronous, active high

    input  wire logic kill,
    input  wire logic pause,
    output wire logic killed,  // by either switch
    output wire logic hold,    // a table is being emptied or written

    input  wire logic [11:0] s_axil_awaddr,
    input  wire logic s_axil_awvalid,
    output wire logic s_axil_awready,
    input  wire logic [31:0] s_axil_wdata,
    input  wire logic [3:0] s_axil_wstrb,
    input  wire logic s_axil_wvalid,
    output wire logic s_axil_wready,
    output wire logic [1:0] s_axil_bresp,
    output wire logic s_axil_bvalid,
    input  wire logic s_axil_bready,
    input  wire logic [11:0] s_axil_araddr,
    input  wire logic s_axil_arvalid,
    output wire logic s_axil_arready,
    output wire logic [31:0] s_axil_rdata,
    output wire logic [1:0] s_axil_rresp,
    output wire logic s_axil_rvalid,
    input  wire logic s_axil_rready,

    input  wire logic s_ref_tvalid,
    input  wire logic [SLOT_W-1:0] s_ref_slot,
    input  wire logic s_ref_has_price,
    input  wire logic signed [PRICE_W-1:0] s_ref_price_ticks,
    input  wire logic [63:0] s_ref_at_ns,
    input  wire logic s_order_tvalid,
    output wire logic s_order_tready,
    input  wire logic [1:0] s_order_kind,
    input  wire logic [SLOT_W-1:0] s_order_slot,
    input  wire logic [1:0] s_order_side,
    input  wire logic signed [PRICE_W-1:0] s_order_price_ticks,
    input  wire logic [QTY_W-1:0] s_order_lots,
    input  wire logic s_order_fits,
    input  wire logic [63:0] s_order_at_ns,
    input  wire logic [63:0] s_order_intent_id,
    input  wire logic [TAG_W-1:0] s_order_tag,
    output wire logic m_verdict_tvalid,
    input  wire logic m_verdict_tready,
    output wire logic [1:0] m_verdict_kind,
    output wire logic [7:0] m_verdict_reason,
    output wire logic [SLOT_W-1:0] m_verdict_slot,
    output wire logic [1:0] m_verdict_side,
    output wire logic signed [PRICE_W-1:0] m_verdict_price_ticks,
    output wire logic [QTY_W-1:0] m_verdict_lots,
    output wire logic [63:0] m_verdict_at_ns,
    output wire logic [63:0] m_verdict_intent_id,
    output wire logic [TAG_W-1:0] m_verdict_tag
);
    localparam int INTERVAL_W = $clog2(INTERVALS);
    localparam int LINK_W = $clog2(LINKS);

    wire logic cfg_kill;
    wire logic cfg_paused;
    wire logic cfg_listing_write;
    wire logic [SLOT_W-1:0] cfg_listing_index;
    wire logic [1:0] cfg_listing_state;
    wire logic [QTY_W-1:0] cfg_listing_qty_min_lots;
    wire logic [QTY_W-1:0] cfg_listing_qty_max_lots;
    wire logic [PRICE_W-1:0] cfg_listing_collar_ticks;
    wire logic cfg_listing_collar_unlimited;
    wire logic cfg_listing_has_floor;
    wire logic signed [PRICE_W-1:0] cfg_listing_floor_ticks;
    wire logic cfg_listing_has_cap;
    wire logic signed [PRICE_W-1:0] cfg_listing_cap_ticks;
    wire logic cfg_listing_has_notional;
    wire logic [NOTIONAL_W-1:0] cfg_listing_notional_max_per_minute;
    wire logic [KW_PER_LOT_W-1:0] cfg_listing_kw_per_lot;
    wire logic cfg_listing_ref_required;
    wire logic cfg_listing_ref_age_unlimited;
    wire logic [62:0] cfg_listing_ref_age_max_ns;
    wire logic [INTERVAL_W-1:0] cfg_listing_first_interval;
    wire logic [LINK_W-1:0] cfg_listing_link;
    wire logic [LINK_W-1:0] cfg_listing_interval_count;
    wire logic cfg_link_write;
    wire logic [LINK_W-1:0] cfg_link_index;
    wire logic [INTERVAL_W-1:0] cfg_link_interval;
    wire logic cfg_interval_limit_write;
    wire logic cfg_interval_exposure_write;
    wire logic cfg_interval_read;
    wire logic [INTERVAL_W-1:0] cfg_interval_index;
    wire logic [KW_W-2:0] cfg_interval_long_max_kw;
    wire logic [KW_W-2:0] cfg_interval_short_max_kw;
    wire logic signed [KW_W-1:0] cfg_interval_net_kw;
    wire logic [KW_W-2:0] cfg_interval_buy_working_kw;
    wire logic [KW_W-2:0] cfg_interval_sell_working_kw;
    wire logic [KW_W-2:0] sts_interval_stored_long_max_kw;
    wire logic [KW_W-2:0] sts_interval_stored_short_max_kw;
    wire logic signed [KW_W-1:0] sts_interval_stored_net_kw;
    wire logic [KW_W-2:0] sts_interval_stored_buy_working_kw;
    wire logic [KW_W-2:0] sts_interval_stored_sell_working_kw;
    wire logic cfg_rate_write;
    wire logic [62:0] cfg_rate_ns_per_message;
    wire logic [62:0] cfg_rate_window_ns;
    wire logic cfg_rate_none;
    wire logic cfg_rate_unlimited;
    wire logic cfg_rate_empty_write;
    wire logic [62:0] cfg_rate_empty_ns;
    wire logic [62:0] sts_rate_stored_empty_ns;
    wire logic cfg_reference_write;
    wire logic [SLOT_W-1:0] cfg_reference_index;
    wire logic cfg_reference_has_price;
    wire logic signed [PRICE_W-1:0] cfg_reference_price_ticks;
    wire logic [62:0] cfg_reference_at_ns;
    wire logic [5:0] cfg_count_index;
    wire logic [COUNT_W-1:0] sts_count;
    wire logic sts_hold;

    assign hold = sts_hold;
    assign killed = cfg_kill || kill;

    risk_gate_regs #(
        .NEXT(NEXT),
        .SLOTS(SLOTS),
        .INTERVALS(INTERVALS),
        .LINKS(LINKS),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .NOTIONAL_W(NOTIONAL_W),
        .KW_W(KW_W),
        .KW_LIMIT_W(KW_W - 1),
        .KW_PER_LOT_W(KW_PER_LOT_W),
        .SEEN_SETS(SEEN_SETS),
        .SEEN_WAYS(SEEN_WAYS),
        .COUNT_W(COUNT_W)
    ) i_regs (
        .clk(clk),
        .rst(rst),
        .hold(sts_hold),
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
        .cfg_kill(cfg_kill),
        .cfg_paused(cfg_paused),
        .cfg_listing_index(cfg_listing_index),
        .cfg_listing_state(cfg_listing_state),
        .cfg_listing_qty_min_lots(cfg_listing_qty_min_lots),
        .cfg_listing_qty_max_lots(cfg_listing_qty_max_lots),
        .cfg_listing_collar_ticks(cfg_listing_collar_ticks),
        .cfg_listing_collar_unlimited(cfg_listing_collar_unlimited),
        .cfg_listing_has_floor(cfg_listing_has_floor),
        .cfg_listing_floor_ticks(cfg_listing_floor_ticks),
        .cfg_listing_has_cap(cfg_listing_has_cap),
        .cfg_listing_cap_ticks(cfg_listing_cap_ticks),
        .cfg_listing_has_notional(cfg_listing_has_notional),
        .cfg_listing_notional_max_per_minute(cfg_listing_notional_max_per_minute),
        .cfg_listing_kw_per_lot(cfg_listing_kw_per_lot),
        .cfg_listing_ref_required(cfg_listing_ref_required),
        .cfg_listing_ref_age_unlimited(cfg_listing_ref_age_unlimited),
        .cfg_listing_ref_age_max_ns(cfg_listing_ref_age_max_ns),
        .cfg_listing_first_interval(cfg_listing_first_interval),
        .cfg_listing_link(cfg_listing_link),
        .cfg_listing_interval_count(cfg_listing_interval_count),
        .cfg_listing_write(cfg_listing_write),
        .cfg_link_index(cfg_link_index),
        .cfg_link_interval(cfg_link_interval),
        .cfg_link_write(cfg_link_write),
        .cfg_interval_index(cfg_interval_index),
        .cfg_interval_long_max_kw(cfg_interval_long_max_kw),
        .cfg_interval_short_max_kw(cfg_interval_short_max_kw),
        .cfg_interval_net_kw(cfg_interval_net_kw),
        .cfg_interval_buy_working_kw(cfg_interval_buy_working_kw),
        .cfg_interval_sell_working_kw(cfg_interval_sell_working_kw),
        .cfg_interval_limit_write(cfg_interval_limit_write),
        .cfg_interval_exposure_write(cfg_interval_exposure_write),
        .cfg_interval_read(cfg_interval_read),
        .sts_interval_stored_long_max_kw(sts_interval_stored_long_max_kw),
        .sts_interval_stored_short_max_kw(sts_interval_stored_short_max_kw),
        .sts_interval_stored_net_kw(sts_interval_stored_net_kw),
        .sts_interval_stored_buy_working_kw(sts_interval_stored_buy_working_kw),
        .sts_interval_stored_sell_working_kw(sts_interval_stored_sell_working_kw),
        .cfg_rate_ns_per_message(cfg_rate_ns_per_message),
        .cfg_rate_window_ns(cfg_rate_window_ns),
        .cfg_rate_none(cfg_rate_none),
        .cfg_rate_unlimited(cfg_rate_unlimited),
        .cfg_rate_empty_ns(cfg_rate_empty_ns),
        .cfg_rate_write(cfg_rate_write),
        .cfg_rate_empty_write(cfg_rate_empty_write),
        .sts_rate_stored_empty_ns(sts_rate_stored_empty_ns),
        .cfg_reference_index(cfg_reference_index),
        .cfg_reference_has_price(cfg_reference_has_price),
        .cfg_reference_price_ticks(cfg_reference_price_ticks),
        .cfg_reference_at_ns(cfg_reference_at_ns),
        .cfg_reference_write(cfg_reference_write),
        .cfg_count_index(cfg_count_index),
        .sts_count(sts_count)
    );

    risk_gate #(
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
        .COUNT_W(COUNT_W),
        .CLEAR_W(CLEAR_W)
    ) i_block (
        .clk(clk),
        .rst(rst),
        .cfg_kill(killed),
        .cfg_paused(cfg_paused || pause),
        .cfg_listing_write(cfg_listing_write),
        .cfg_listing_index(cfg_listing_index),
        .cfg_listing_state(cfg_listing_state),
        .cfg_listing_qty_min_lots(cfg_listing_qty_min_lots),
        .cfg_listing_qty_max_lots(cfg_listing_qty_max_lots),
        .cfg_listing_collar_ticks(cfg_listing_collar_ticks),
        .cfg_listing_collar_unlimited(cfg_listing_collar_unlimited),
        .cfg_listing_has_floor(cfg_listing_has_floor),
        .cfg_listing_floor_ticks(cfg_listing_floor_ticks),
        .cfg_listing_has_cap(cfg_listing_has_cap),
        .cfg_listing_cap_ticks(cfg_listing_cap_ticks),
        .cfg_listing_has_notional(cfg_listing_has_notional),
        .cfg_listing_notional_max_per_minute(cfg_listing_notional_max_per_minute),
        .cfg_listing_kw_per_lot(cfg_listing_kw_per_lot),
        .cfg_listing_ref_required(cfg_listing_ref_required),
        .cfg_listing_ref_age_unlimited(cfg_listing_ref_age_unlimited),
        .cfg_listing_ref_age_max_ns(cfg_listing_ref_age_max_ns),
        .cfg_listing_first_interval(cfg_listing_first_interval),
        .cfg_listing_link(cfg_listing_link),
        .cfg_listing_interval_count(cfg_listing_interval_count),
        .cfg_link_write(cfg_link_write),
        .cfg_link_index(cfg_link_index),
        .cfg_link_interval(cfg_link_interval),
        .cfg_interval_limit_write(cfg_interval_limit_write),
        .cfg_interval_exposure_write(cfg_interval_exposure_write),
        .cfg_interval_read(cfg_interval_read),
        .cfg_interval_index(cfg_interval_index),
        .cfg_interval_long_max_kw(cfg_interval_long_max_kw),
        .cfg_interval_short_max_kw(cfg_interval_short_max_kw),
        .cfg_interval_net_kw(cfg_interval_net_kw),
        .cfg_interval_buy_working_kw(cfg_interval_buy_working_kw),
        .cfg_interval_sell_working_kw(cfg_interval_sell_working_kw),
        .sts_interval_stored_long_max_kw(sts_interval_stored_long_max_kw),
        .sts_interval_stored_short_max_kw(sts_interval_stored_short_max_kw),
        .sts_interval_stored_net_kw(sts_interval_stored_net_kw),
        .sts_interval_stored_buy_working_kw(sts_interval_stored_buy_working_kw),
        .sts_interval_stored_sell_working_kw(sts_interval_stored_sell_working_kw),
        .cfg_rate_write(cfg_rate_write),
        .cfg_rate_ns_per_message(cfg_rate_ns_per_message),
        .cfg_rate_window_ns(cfg_rate_window_ns),
        .cfg_rate_none(cfg_rate_none),
        .cfg_rate_unlimited(cfg_rate_unlimited),
        .cfg_rate_empty_write(cfg_rate_empty_write),
        .cfg_rate_empty_ns(cfg_rate_empty_ns),
        .sts_rate_stored_empty_ns(sts_rate_stored_empty_ns),
        .cfg_reference_write(cfg_reference_write),
        .cfg_reference_index(cfg_reference_index),
        .cfg_reference_has_price(cfg_reference_has_price),
        .cfg_reference_price_ticks(cfg_reference_price_ticks),
        .cfg_reference_at_ns(cfg_reference_at_ns),
        .cfg_count_index(cfg_count_index),
        .sts_count(sts_count),
        .sts_hold(sts_hold),
        .s_ref_tvalid(s_ref_tvalid),
        .s_ref_slot(s_ref_slot),
        .s_ref_has_price(s_ref_has_price),
        .s_ref_price_ticks(s_ref_price_ticks),
        .s_ref_at_ns(s_ref_at_ns),
        .s_order_tvalid(s_order_tvalid),
        .s_order_tready(s_order_tready),
        .s_order_kind(s_order_kind),
        .s_order_slot(s_order_slot),
        .s_order_side(s_order_side),
        .s_order_price_ticks(s_order_price_ticks),
        .s_order_lots(s_order_lots),
        .s_order_fits(s_order_fits),
        .s_order_at_ns(s_order_at_ns),
        .s_order_intent_id(s_order_intent_id),
        .s_order_tag(s_order_tag),
        .m_verdict_tvalid(m_verdict_tvalid),
        .m_verdict_tready(m_verdict_tready),
        .m_verdict_kind(m_verdict_kind),
        .m_verdict_reason(m_verdict_reason),
        .m_verdict_slot(m_verdict_slot),
        .m_verdict_side(m_verdict_side),
        .m_verdict_price_ticks(m_verdict_price_ticks),
        .m_verdict_lots(m_verdict_lots),
        .m_verdict_at_ns(m_verdict_at_ns),
        .m_verdict_intent_id(m_verdict_intent_id),
        .m_verdict_tag(m_verdict_tag)
    );
endmodule
`default_nettype wire
