// SPDX-License-Identifier: Apache-2.0
// An order encoder with its register page: order_encoder_regs sets what order_encoder reads.
// `kill` comes from the top; its switch or the page's kills. Latency and throughput are those of order_encoder.
`default_nettype none
module order_encoder_axil #(
    parameter logic [31:0] NEXT = 32'd0,  // address of the next page; 0 after the last
    parameter int SLOTS   = 256,
    parameter int PRICE_W = 32,  // bits of a signed price, ticks; at most 64
    parameter int QTY_W   = 24,  // bits of an order's lots; at most 63
    parameter int COUNT_W = 32,  // bits of the counters, which stop at their largest value
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic clk,
    input  wire logic rst,  // synchronous, active high

    input  wire logic        kill,
    output wire logic        killed,      // by either switch
    output wire logic        hold,        // the table is being emptied
    output wire logic        first_beat,  // the first beat of a message is offered, for the first time ...
    output wire logic [63:0] first_tag,   // ... and belongs to the order with this tag

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

    input  wire logic s_verdict_tvalid,
    output wire logic s_verdict_tready,
    input  wire logic [1:0] s_verdict_kind,
    input  wire logic [7:0] s_verdict_reason,
    input  wire logic [SLOT_W-1:0] s_verdict_slot,
    input  wire logic [1:0] s_verdict_side,
    input  wire logic signed [PRICE_W-1:0] s_verdict_price_ticks,
    input  wire logic [QTY_W-1:0] s_verdict_lots,
    input  wire logic [63:0] s_verdict_at_ns,
    input  wire logic [63:0] s_verdict_intent_id,
    input  wire logic [63:0] s_verdict_tag,
    output wire logic [63:0] m_axis_tdata,
    output wire logic [7:0] m_axis_tkeep,
    output wire logic m_axis_tvalid,
    input  wire logic m_axis_tready,
    output wire logic m_axis_tlast
);
    wire logic cfg_kill;
    wire logic cfg_format_ouch;
    wire logic [63:0] cfg_order_base;
    wire logic cfg_order_kind;
    wire logic [15:0] cfg_producer;
    wire logic [31:0] cfg_venue_id;
    wire logic [31:0] cfg_strategy_id;
    wire logic [31:0] cfg_book_id;
    wire logic [31:0] cfg_algo_id;
    wire logic [31:0] cfg_algo_version;
    wire logic [31:0] cfg_trader_id;
    wire logic [31:0] cfg_account_id;
    wire logic [31:0] cfg_ouch_time_in_force;
    wire logic [31:0] cfg_ouch_firm;
    wire logic [7:0] cfg_ouch_display;
    wire logic [7:0] cfg_ouch_customer;
    wire logic cfg_listing_write;
    wire logic [SLOT_W-1:0] cfg_listing_index;
    wire logic cfg_listing_valid;
    wire logic [31:0] cfg_listing_id;
    wire logic [63:0] cfg_listing_symbol;
    wire logic sts_hold;
    wire logic [63:0] sts_sent_count;
    wire logic [COUNT_W-1:0] sts_other_count;
    wire logic [COUNT_W-1:0] sts_refused_count;
    wire logic [COUNT_W-1:0] sts_killed_count;
    wire logic [COUNT_W-1:0] sts_unlisted_count;
    wire logic [COUNT_W-1:0] sts_range_count;

    assign hold = sts_hold;
    assign killed = cfg_kill || kill;

    order_encoder_regs #(
        .NEXT(NEXT),
        .SLOTS(SLOTS),
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
        .cfg_format_ouch(cfg_format_ouch),
        .cfg_order_base(cfg_order_base),
        .cfg_order_kind(cfg_order_kind),
        .cfg_producer(cfg_producer),
        .cfg_venue_id(cfg_venue_id),
        .cfg_strategy_id(cfg_strategy_id),
        .cfg_book_id(cfg_book_id),
        .cfg_algo_id(cfg_algo_id),
        .cfg_algo_version(cfg_algo_version),
        .cfg_trader_id(cfg_trader_id),
        .cfg_account_id(cfg_account_id),
        .cfg_ouch_time_in_force(cfg_ouch_time_in_force),
        .cfg_ouch_firm(cfg_ouch_firm),
        .cfg_ouch_display(cfg_ouch_display),
        .cfg_ouch_customer(cfg_ouch_customer),
        .cfg_listing_index(cfg_listing_index),
        .cfg_listing_valid(cfg_listing_valid),
        .cfg_listing_id(cfg_listing_id),
        .cfg_listing_symbol(cfg_listing_symbol),
        .cfg_listing_write(cfg_listing_write),
        .sts_sent_count(sts_sent_count),
        .sts_other_count(sts_other_count),
        .sts_refused_count(sts_refused_count),
        .sts_killed_count(sts_killed_count),
        .sts_unlisted_count(sts_unlisted_count),
        .sts_range_count(sts_range_count)
    );

    order_encoder #(
        .SLOTS(SLOTS),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .COUNT_W(COUNT_W)
    ) i_block (
        .clk(clk),
        .rst(rst),
        .cfg_kill(killed),
        .cfg_format_ouch(cfg_format_ouch),
        .cfg_order_base(cfg_order_base),
        .cfg_order_kind(cfg_order_kind),
        .cfg_producer(cfg_producer),
        .cfg_venue_id(cfg_venue_id),
        .cfg_strategy_id(cfg_strategy_id),
        .cfg_book_id(cfg_book_id),
        .cfg_algo_id(cfg_algo_id),
        .cfg_algo_version(cfg_algo_version),
        .cfg_trader_id(cfg_trader_id),
        .cfg_account_id(cfg_account_id),
        .cfg_ouch_time_in_force(cfg_ouch_time_in_force),
        .cfg_ouch_firm(cfg_ouch_firm),
        .cfg_ouch_display(cfg_ouch_display),
        .cfg_ouch_customer(cfg_ouch_customer),
        .cfg_listing_write(cfg_listing_write),
        .cfg_listing_index(cfg_listing_index),
        .cfg_listing_valid(cfg_listing_valid),
        .cfg_listing_id(cfg_listing_id),
        .cfg_listing_symbol(cfg_listing_symbol),
        .s_verdict_tvalid(s_verdict_tvalid),
        .s_verdict_tready(s_verdict_tready),
        .s_verdict_kind(s_verdict_kind),
        .s_verdict_reason(s_verdict_reason),
        .s_verdict_slot(s_verdict_slot),
        .s_verdict_side(s_verdict_side),
        .s_verdict_price_ticks(s_verdict_price_ticks),
        .s_verdict_lots(s_verdict_lots),
        .s_verdict_at_ns(s_verdict_at_ns),
        .s_verdict_intent_id(s_verdict_intent_id),
        .s_verdict_tag(s_verdict_tag),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tkeep(m_axis_tkeep),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready),
        .m_axis_tlast(m_axis_tlast),
        .sts_hold(sts_hold),
        .sts_first_beat(first_beat),
        .sts_first_tag(first_tag),
        .sts_sent_count(sts_sent_count),
        .sts_other_count(sts_other_count),
        .sts_refused_count(sts_refused_count),
        .sts_killed_count(sts_killed_count),
        .sts_unlisted_count(sts_unlisted_count),
        .sts_range_count(sts_range_count)
    );
endmodule
`default_nettype wire
