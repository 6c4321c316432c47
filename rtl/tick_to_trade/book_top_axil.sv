// SPDX-License-Identifier: Apache-2.0
// A book with its register page: book_top_regs sets what book_top reads.
// Latency and throughput are those of book_top.
`default_nettype none
module book_top_axil #(
    parameter logic [31:0] NEXT = 32'd0,  // address of the next page; 0 after the last
    parameter int SLOTS      = 256,
    parameter int LEVELS     = 4,  // kept levels of a side, 2 or more
    parameter int ORDERS     = 4096,  // kept orders; WAYS times a power of 2
    parameter int WAYS       = 4,  // orders with refs of one hash value
    parameter int GEN_W      = 6,  // bits of the number that tells a slot's forgotten orders from its open ones
    parameter int PRICE_W    = 32,  // bits of a signed price, ticks
    parameter int BOOK_QTY_W = 32,  // bits of the lots of a level or an order
    parameter int COUNT_W    = 32,  // bits of the counters, which stop at their largest value
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic clk,
    input  wire logic rst,  // synchronous, active high

    output wire logic hold,  // tables are being emptied, or a slot is being rolled or read

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

    input  wire logic s_update_tvalid,
    output wire logic s_update_tready,
    input  wire logic [3:0] s_update_kind,
    input  wire logic [SLOT_W-1:0] s_update_slot,
    input  wire logic [1:0] s_update_side,
    input  wire logic s_update_has_price,
    input  wire logic signed [PRICE_W-1:0] s_update_price_ticks,
    input  wire logic [BOOK_QTY_W-1:0] s_update_lots,
    input  wire logic s_update_has_ask,
    input  wire logic signed [PRICE_W-1:0] s_update_ask_ticks,
    input  wire logic [BOOK_QTY_W-1:0] s_update_ask_lots,
    input  wire logic [63:0] s_update_order_ref,
    input  wire logic [63:0] s_update_new_ref,
    input  wire logic [63:0] s_update_at_ns,
    input  wire logic [31:0] s_update_stamp,
    output wire logic m_top_tvalid,
    input  wire logic m_top_tready,
    output wire logic [SLOT_W-1:0] m_top_slot,
    output wire logic m_top_known,
    output wire logic m_top_has_bid,
    output wire logic signed [PRICE_W-1:0] m_top_bid_ticks,
    output wire logic [BOOK_QTY_W-1:0] m_top_bid_lots,
    output wire logic m_top_has_ask,
    output wire logic signed [PRICE_W-1:0] m_top_ask_ticks,
    output wire logic [BOOK_QTY_W-1:0] m_top_ask_lots,
    output wire logic [63:0] m_top_at_ns,
    output wire logic [31:0] m_top_stamp
);
    wire logic [SLOT_W-1:0] cfg_slot_index;
    wire logic cfg_slot_clear;
    wire logic cfg_slot_begin;
    wire logic cfg_slot_read;
    wire logic sts_hold;
    wire logic sts_slot_state_known;
    wire logic sts_slot_state_has_bid;
    wire logic signed [PRICE_W-1:0] sts_slot_bid_ticks;
    wire logic [BOOK_QTY_W-1:0] sts_slot_bid_lots;
    wire logic sts_slot_state_has_ask;
    wire logic signed [PRICE_W-1:0] sts_slot_ask_ticks;
    wire logic [BOOK_QTY_W-1:0] sts_slot_ask_lots;
    wire logic [16:0] sts_known_slots;
    wire logic [COUNT_W-1:0] sts_update_count;
    wire logic [COUNT_W-1:0] sts_roll_count;
    wire logic [COUNT_W-1:0] sts_skipped_count;
    wire logic [COUNT_W-1:0] sts_malformed_count;
    wire logic [COUNT_W-1:0] sts_poison_count;
    wire logic [COUNT_W-1:0] sts_orphan_count;
    wire logic [COUNT_W-1:0] sts_full_count;
    wire logic [COUNT_W-1:0] sts_inconsistent_count;
    wire logic [COUNT_W-1:0] sts_range_count;
    wire logic [COUNT_W-1:0] sts_exhausted_count;

    assign hold = sts_hold;

    book_top_regs #(
        .NEXT(NEXT),
        .SLOTS(SLOTS),
        .LEVELS(LEVELS),
        .ORDERS(ORDERS),
        .PRICE_W(PRICE_W),
        .BOOK_QTY_W(BOOK_QTY_W),
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
        .cfg_slot_index(cfg_slot_index),
        .cfg_slot_clear(cfg_slot_clear),
        .cfg_slot_begin(cfg_slot_begin),
        .cfg_slot_read(cfg_slot_read),
        .sts_slot_state_known(sts_slot_state_known),
        .sts_slot_state_has_bid(sts_slot_state_has_bid),
        .sts_slot_state_has_ask(sts_slot_state_has_ask),
        .sts_slot_bid_ticks(sts_slot_bid_ticks),
        .sts_slot_bid_lots(sts_slot_bid_lots),
        .sts_slot_ask_ticks(sts_slot_ask_ticks),
        .sts_slot_ask_lots(sts_slot_ask_lots),
        .sts_known_slots(sts_known_slots),
        .sts_update_count(sts_update_count),
        .sts_roll_count(sts_roll_count),
        .sts_skipped_count(sts_skipped_count),
        .sts_malformed_count(sts_malformed_count),
        .sts_poison_count(sts_poison_count),
        .sts_orphan_count(sts_orphan_count),
        .sts_full_count(sts_full_count),
        .sts_inconsistent_count(sts_inconsistent_count),
        .sts_range_count(sts_range_count),
        .sts_exhausted_count(sts_exhausted_count)
    );

    book_top #(
        .SLOTS(SLOTS),
        .LEVELS(LEVELS),
        .ORDERS(ORDERS),
        .WAYS(WAYS),
        .GEN_W(GEN_W),
        .PRICE_W(PRICE_W),
        .BOOK_QTY_W(BOOK_QTY_W),
        .COUNT_W(COUNT_W)
    ) i_block (
        .clk(clk),
        .rst(rst),
        .s_update_tvalid(s_update_tvalid),
        .s_update_tready(s_update_tready),
        .s_update_kind(s_update_kind),
        .s_update_slot(s_update_slot),
        .s_update_side(s_update_side),
        .s_update_has_price(s_update_has_price),
        .s_update_price_ticks(s_update_price_ticks),
        .s_update_lots(s_update_lots),
        .s_update_has_ask(s_update_has_ask),
        .s_update_ask_ticks(s_update_ask_ticks),
        .s_update_ask_lots(s_update_ask_lots),
        .s_update_order_ref(s_update_order_ref),
        .s_update_new_ref(s_update_new_ref),
        .s_update_at_ns(s_update_at_ns),
        .s_update_stamp(s_update_stamp),
        .m_top_tvalid(m_top_tvalid),
        .m_top_tready(m_top_tready),
        .m_top_slot(m_top_slot),
        .m_top_known(m_top_known),
        .m_top_has_bid(m_top_has_bid),
        .m_top_bid_ticks(m_top_bid_ticks),
        .m_top_bid_lots(m_top_bid_lots),
        .m_top_has_ask(m_top_has_ask),
        .m_top_ask_ticks(m_top_ask_ticks),
        .m_top_ask_lots(m_top_ask_lots),
        .m_top_at_ns(m_top_at_ns),
        .m_top_stamp(m_top_stamp),
        .cfg_slot_index(cfg_slot_index),
        .cfg_slot_clear(cfg_slot_clear),
        .cfg_slot_begin(cfg_slot_begin),
        .cfg_slot_read(cfg_slot_read),
        .sts_hold(sts_hold),
        .sts_slot_state_known(sts_slot_state_known),
        .sts_slot_state_has_bid(sts_slot_state_has_bid),
        .sts_slot_bid_ticks(sts_slot_bid_ticks),
        .sts_slot_bid_lots(sts_slot_bid_lots),
        .sts_slot_state_has_ask(sts_slot_state_has_ask),
        .sts_slot_ask_ticks(sts_slot_ask_ticks),
        .sts_slot_ask_lots(sts_slot_ask_lots),
        .sts_known_slots(sts_known_slots),
        .sts_update_count(sts_update_count),
        .sts_roll_count(sts_roll_count),
        .sts_skipped_count(sts_skipped_count),
        .sts_malformed_count(sts_malformed_count),
        .sts_poison_count(sts_poison_count),
        .sts_orphan_count(sts_orphan_count),
        .sts_full_count(sts_full_count),
        .sts_inconsistent_count(sts_inconsistent_count),
        .sts_range_count(sts_range_count),
        .sts_exhausted_count(sts_exhausted_count)
    );
endmodule
`default_nettype wire
