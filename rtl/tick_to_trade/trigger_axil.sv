// SPDX-License-Identifier: Apache-2.0
// A trigger with its register page: trigger_regs sets what trigger reads.
// Latency and throughput are those of trigger.
`default_nettype none
module trigger_axil #(
    parameter logic [31:0] NEXT = 32'd0,  // address of the next page; 0 after the last
    parameter int SLOTS      = 256,
    parameter int RULES      = 64,  // 1 … 64
    parameter int LANES      = 2,  // rows of a slot, 1 … 4
    parameter int PRICE_W    = 32,  // bits of a signed price, ticks
    parameter int QTY_W      = 24,  // bits of an order's lots
    parameter int BOOK_QTY_W = 32,  // bits of a book's lots
    parameter int COUNT_W    = 32,  // bits of the counters, which stop at their largest value
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic clk,
    input  wire logic rst,  // synchronous, active high

    input  wire logic disarm_all,  // one clock: disarm every rule, as the page does
    output wire logic hold,        // tables are being emptied

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

    input  wire logic s_top_tvalid,
    output wire logic s_top_tready,
    input  wire logic [SLOT_W-1:0] s_top_slot,
    input  wire logic s_top_known,
    input  wire logic s_top_has_bid,
    input  wire logic signed [PRICE_W-1:0] s_top_bid_ticks,
    input  wire logic [BOOK_QTY_W-1:0] s_top_bid_lots,
    input  wire logic s_top_has_ask,
    input  wire logic signed [PRICE_W-1:0] s_top_ask_ticks,
    input  wire logic [BOOK_QTY_W-1:0] s_top_ask_lots,
    input  wire logic [63:0] s_top_at_ns,
    input  wire logic [31:0] s_top_stamp,
    output wire logic m_order_tvalid,
    input  wire logic m_order_tready,
    output wire logic [1:0] m_order_kind,
    output wire logic [SLOT_W-1:0] m_order_slot,
    output wire logic [1:0] m_order_side,
    output wire logic signed [PRICE_W-1:0] m_order_price_ticks,
    output wire logic [QTY_W-1:0] m_order_lots,
    output wire logic m_order_fits,
    output wire logic [63:0] m_order_at_ns,
    output wire logic [63:0] m_order_intent_id,
    output wire logic [63:0] m_order_tag
);
    localparam int RULE_W = $clog2(RULES);
    localparam int LANE_W = $clog2(LANES);

    wire logic cfg_lane_write;
    wire logic [SLOT_W-1:0] cfg_lane_index;
    wire logic [LANE_W-1:0] cfg_lane_number;
    wire logic [2:0] cfg_lane_kind;
    wire logic [RULE_W-1:0] cfg_lane_rule;
    wire logic [SLOT_W-1:0] cfg_lane_other;
    wire logic signed [PRICE_W:0] cfg_lane_threshold_ticks;
    wire logic [SLOT_W-1:0] cfg_lane_order_slot;
    wire logic [1:0] cfg_lane_side;
    wire logic cfg_lane_price_mode;
    wire logic signed [PRICE_W-1:0] cfg_lane_price_ticks;
    wire logic [QTY_W-1:0] cfg_lane_lots;
    wire logic cfg_slot_clear;
    wire logic [SLOT_W-1:0] cfg_slot_index;
    wire logic [RULE_W-1:0] cfg_rule_index;
    wire logic cfg_arm;
    wire logic cfg_disarm;
    wire logic cfg_disarm_all;
    wire logic [63:0] cfg_intent_base;
    wire logic sts_hold;
    wire logic [63:0] sts_armed;
    wire logic [RULE_W-1:0] sts_last_rule;
    wire logic [63:0] sts_fired_count;
    wire logic [COUNT_W-1:0] sts_unknown_count;
    wire logic [COUNT_W-1:0] sts_absent_count;
    wire logic [COUNT_W-1:0] sts_no_id_count;
    wire logic [COUNT_W-1:0] sts_passed_over_count;
    wire logic [COUNT_W-1:0] sts_refused_count;

    assign hold = sts_hold;

    trigger_regs #(
        .NEXT(NEXT),
        .SLOTS(SLOTS),
        .RULES(RULES),
        .LANES(LANES),
        .PRICE_W(PRICE_W),
        .THRESHOLD_W(PRICE_W + 1),
        .QTY_W(QTY_W),
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
        .cfg_lane_index(cfg_lane_index),
        .cfg_lane_number(cfg_lane_number),
        .cfg_lane_kind(cfg_lane_kind),
        .cfg_lane_rule(cfg_lane_rule),
        .cfg_lane_other(cfg_lane_other),
        .cfg_lane_threshold_ticks(cfg_lane_threshold_ticks),
        .cfg_lane_order_slot(cfg_lane_order_slot),
        .cfg_lane_side(cfg_lane_side),
        .cfg_lane_price_mode(cfg_lane_price_mode),
        .cfg_lane_price_ticks(cfg_lane_price_ticks),
        .cfg_lane_lots(cfg_lane_lots),
        .cfg_lane_write(cfg_lane_write),
        .cfg_slot_index(cfg_slot_index),
        .cfg_slot_clear(cfg_slot_clear),
        .cfg_rule_index(cfg_rule_index),
        .cfg_arm(cfg_arm),
        .cfg_disarm(cfg_disarm),
        .cfg_disarm_all(cfg_disarm_all),
        .cfg_intent_base(cfg_intent_base),
        .sts_armed(sts_armed),
        .sts_last_rule(sts_last_rule),
        .sts_fired_count(sts_fired_count),
        .sts_unknown_count(sts_unknown_count),
        .sts_absent_count(sts_absent_count),
        .sts_no_id_count(sts_no_id_count),
        .sts_passed_over_count(sts_passed_over_count),
        .sts_refused_count(sts_refused_count)
    );

    trigger #(
        .SLOTS(SLOTS),
        .RULES(RULES),
        .LANES(LANES),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .BOOK_QTY_W(BOOK_QTY_W),
        .COUNT_W(COUNT_W)
    ) i_block (
        .clk(clk),
        .rst(rst),
        .cfg_lane_write(cfg_lane_write),
        .cfg_lane_index(cfg_lane_index),
        .cfg_lane_number(cfg_lane_number),
        .cfg_lane_kind(cfg_lane_kind),
        .cfg_lane_rule(cfg_lane_rule),
        .cfg_lane_other(cfg_lane_other),
        .cfg_lane_threshold_ticks(cfg_lane_threshold_ticks),
        .cfg_lane_order_slot(cfg_lane_order_slot),
        .cfg_lane_side(cfg_lane_side),
        .cfg_lane_price_mode(cfg_lane_price_mode),
        .cfg_lane_price_ticks(cfg_lane_price_ticks),
        .cfg_lane_lots(cfg_lane_lots),
        .cfg_slot_clear(cfg_slot_clear),
        .cfg_slot_index(cfg_slot_index),
        .cfg_rule_index(cfg_rule_index),
        .cfg_arm(cfg_arm),
        .cfg_disarm(cfg_disarm),
        .cfg_disarm_all(cfg_disarm_all || disarm_all),
        .cfg_intent_base(cfg_intent_base),
        .s_top_tvalid(s_top_tvalid),
        .s_top_tready(s_top_tready),
        .s_top_slot(s_top_slot),
        .s_top_known(s_top_known),
        .s_top_has_bid(s_top_has_bid),
        .s_top_bid_ticks(s_top_bid_ticks),
        .s_top_bid_lots(s_top_bid_lots),
        .s_top_has_ask(s_top_has_ask),
        .s_top_ask_ticks(s_top_ask_ticks),
        .s_top_ask_lots(s_top_ask_lots),
        .s_top_at_ns(s_top_at_ns),
        .s_top_stamp(s_top_stamp),
        .m_order_tvalid(m_order_tvalid),
        .m_order_tready(m_order_tready),
        .m_order_kind(m_order_kind),
        .m_order_slot(m_order_slot),
        .m_order_side(m_order_side),
        .m_order_price_ticks(m_order_price_ticks),
        .m_order_lots(m_order_lots),
        .m_order_fits(m_order_fits),
        .m_order_at_ns(m_order_at_ns),
        .m_order_intent_id(m_order_intent_id),
        .m_order_tag(m_order_tag),
        .sts_hold(sts_hold),
        .sts_armed(sts_armed),
        .sts_last_rule(sts_last_rule),
        .sts_fired_count(sts_fired_count),
        .sts_unknown_count(sts_unknown_count),
        .sts_absent_count(sts_absent_count),
        .sts_no_id_count(sts_no_id_count),
        .sts_passed_over_count(sts_passed_over_count),
        .sts_refused_count(sts_refused_count)
    );
endmodule
`default_nettype wire
