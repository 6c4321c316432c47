// SPDX-License-Identifier: Apache-2.0
// A feed decoder with its register page: feed_decoder_regs sets what feed_decoder reads.
// Latency and throughput are those of feed_decoder.
`default_nettype none
module feed_decoder_axil #(
    parameter logic [31:0] NEXT = 32'd0,  // address of the next page; 0 after the last
    parameter int SLOTS       = 256,  // books
    parameter int MAP_W       = 10,  // bits of a listing id that choose its row in the map
    parameter int RECORDS_MAX = 16,  // records of one frame
    parameter int PRICE_W     = 32,  // bits of a signed price, 2 to 63
    parameter int BOOK_QTY_W  = 32,  // bits of lots in the book, 1 to 63
    parameter int COUNT_W     = 32,  // bits of the counters, which stop at their largest value
    parameter int TID_W       = 2,  // bits of the stream's number
    parameter bit RESYNC_EN   = 0,  // after reset, pass over what comes until tlast
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic clk,
    input  wire logic rst,  // synchronous, active high

    output wire logic hold,  // the map is being emptied or read
    output wire logic lost,  // one clock: a frame fell

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

    input  wire logic [31:0] cycle,
    input  wire logic [63:0] s_axis_tdata,
    input  wire logic s_axis_tvalid,
    output wire logic s_axis_tready,
    input  wire logic s_axis_tlast,
    input  wire logic [TID_W-1:0] s_axis_tid,
    output wire logic m_update_tvalid,
    input  wire logic m_update_tready,
    output wire logic [3:0] m_update_kind,
    output wire logic [SLOT_W-1:0] m_update_slot,
    output wire logic [1:0] m_update_side,
    output wire logic m_update_has_price,
    output wire logic signed [PRICE_W-1:0] m_update_price_ticks,
    output wire logic [BOOK_QTY_W-1:0] m_update_lots,
    output wire logic m_update_has_ask,
    output wire logic signed [PRICE_W-1:0] m_update_ask_ticks,
    output wire logic [BOOK_QTY_W-1:0] m_update_ask_lots,
    output wire logic [63:0] m_update_order_ref,
    output wire logic [63:0] m_update_new_ref,
    output wire logic [63:0] m_update_at_ns,
    output wire logic [31:0] m_update_stamp
);
    wire logic cfg_format_itch;
    wire logic [61:0] cfg_itch_base_ns;
    wire logic cfg_map_write;
    wire logic cfg_map_read;
    wire logic [31:0] cfg_map_listing;
    wire logic [SLOT_W-1:0] cfg_map_slot;
    wire logic cfg_map_valid;
    wire logic sts_hold;
    wire logic [31:0] sts_map_stored_listing;
    wire logic [SLOT_W-1:0] sts_map_stored_slot;
    wire logic sts_map_stored_valid;
    wire logic [31:0] sts_quote_layout;
    wire logic [31:0] sts_book_order_layout;
    wire logic [31:0] sts_book_price_layout;
    wire logic [COUNT_W-1:0] sts_accepted_count;
    wire logic [COUNT_W-1:0] sts_other_count;
    wire logic [COUNT_W-1:0] sts_malformed_count;
    wire logic [COUNT_W-1:0] sts_truncated_count;
    wire logic [COUNT_W-1:0] sts_oversized_count;
    wire logic [COUNT_W-1:0] sts_interleaved_count;
    wire logic [COUNT_W-1:0] sts_out_of_order_count;
    wire logic [COUNT_W-1:0] sts_updates_count;
    wire logic [COUNT_W-1:0] sts_unmapped_count;
    wire logic [COUNT_W-1:0] sts_range_count;

    assign hold = sts_hold;

    feed_decoder_regs #(
        .NEXT(NEXT),
        .SLOTS(SLOTS),
        .MAP_W(MAP_W),
        .RECORDS_MAX(RECORDS_MAX),
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
        .cfg_format_itch(cfg_format_itch),
        .cfg_itch_base_ns(cfg_itch_base_ns),
        .cfg_map_listing(cfg_map_listing),
        .cfg_map_slot(cfg_map_slot),
        .cfg_map_valid(cfg_map_valid),
        .cfg_map_write(cfg_map_write),
        .cfg_map_read(cfg_map_read),
        .sts_map_stored_listing(sts_map_stored_listing),
        .sts_map_stored_slot(sts_map_stored_slot),
        .sts_map_stored_valid(sts_map_stored_valid),
        .sts_quote_layout(sts_quote_layout),
        .sts_book_order_layout(sts_book_order_layout),
        .sts_book_price_layout(sts_book_price_layout),
        .sts_accepted_count(sts_accepted_count),
        .sts_other_count(sts_other_count),
        .sts_malformed_count(sts_malformed_count),
        .sts_truncated_count(sts_truncated_count),
        .sts_oversized_count(sts_oversized_count),
        .sts_interleaved_count(sts_interleaved_count),
        .sts_out_of_order_count(sts_out_of_order_count),
        .sts_updates_count(sts_updates_count),
        .sts_unmapped_count(sts_unmapped_count),
        .sts_range_count(sts_range_count)
    );

    feed_decoder #(
        .SLOTS(SLOTS),
        .MAP_W(MAP_W),
        .RECORDS_MAX(RECORDS_MAX),
        .PRICE_W(PRICE_W),
        .BOOK_QTY_W(BOOK_QTY_W),
        .COUNT_W(COUNT_W),
        .TID_W(TID_W),
        .RESYNC_EN(RESYNC_EN)
    ) i_block (
        .clk(clk),
        .rst(rst),
        .cycle(cycle),
        .cfg_format_itch(cfg_format_itch),
        .cfg_itch_base_ns(cfg_itch_base_ns),
        .cfg_map_write(cfg_map_write),
        .cfg_map_read(cfg_map_read),
        .cfg_map_listing(cfg_map_listing),
        .cfg_map_slot(cfg_map_slot),
        .cfg_map_valid(cfg_map_valid),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast),
        .s_axis_tid(s_axis_tid),
        .m_update_tvalid(m_update_tvalid),
        .m_update_tready(m_update_tready),
        .m_update_kind(m_update_kind),
        .m_update_slot(m_update_slot),
        .m_update_side(m_update_side),
        .m_update_has_price(m_update_has_price),
        .m_update_price_ticks(m_update_price_ticks),
        .m_update_lots(m_update_lots),
        .m_update_has_ask(m_update_has_ask),
        .m_update_ask_ticks(m_update_ask_ticks),
        .m_update_ask_lots(m_update_ask_lots),
        .m_update_order_ref(m_update_order_ref),
        .m_update_new_ref(m_update_new_ref),
        .m_update_at_ns(m_update_at_ns),
        .m_update_stamp(m_update_stamp),
        .sts_hold(sts_hold),
        .sts_lost(lost),
        .sts_map_stored_listing(sts_map_stored_listing),
        .sts_map_stored_slot(sts_map_stored_slot),
        .sts_map_stored_valid(sts_map_stored_valid),
        .sts_quote_layout(sts_quote_layout),
        .sts_book_order_layout(sts_book_order_layout),
        .sts_book_price_layout(sts_book_price_layout),
        .sts_accepted_count(sts_accepted_count),
        .sts_other_count(sts_other_count),
        .sts_malformed_count(sts_malformed_count),
        .sts_truncated_count(sts_truncated_count),
        .sts_oversized_count(sts_oversized_count),
        .sts_interleaved_count(sts_interleaved_count),
        .sts_out_of_order_count(sts_out_of_order_count),
        .sts_updates_count(sts_updates_count),
        .sts_unmapped_count(sts_unmapped_count),
        .sts_range_count(sts_range_count)
    );
endmodule
`default_nettype wire
