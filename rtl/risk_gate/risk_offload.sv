// SPDX-License-Identifier: Apache-2.0
// The risk gate as an offload of the software order path: frames of SDK records in, frames of CheckVerdict out.
//
//   s_axis ─ order_frames ─ orders ─ risk_gate ─ verdicts ─ verdict_frames ─ m_axis
//               │  └────── references ──┘                      │
//            slot_map      └──────────────── notes ────────────┘
//
// What each record does stands at the head of order_frames, what an answer holds at that of verdict_frames. Everything
// reaches the gate in the order in which it came. Pages of 4 KiB behind s_axil: 0 risk_offload, 1 risk_gate.
//
// Latency: 7 clocks from a frame's last beat to the first beat of its first verdict, for a listing of one interval; n
// intervals are 2 + n more. Sustained: single intents, 17 beats each, without a gap. A frame of many intents is answered
// at the pace of its answers, 13 beats each; nothing is lost, s_axis waits. s_axis_tready comes from a register.
`default_nettype none
module risk_offload #(
    parameter int SLOTS        = 255,   // listings; no power of 2, so that SLOTS itself is a number that no listing has
    parameter int INTERVALS    = 1024,  // delivery intervals
    parameter int LINKS        = 2048,  // second and further intervals of all listings
    parameter int PRICE_W      = 32,    // bits of a signed price in ticks
    parameter int QTY_W        = 24,    // bits of an order's lots
    parameter int NOTIONAL_W   = 56,    // bits of the notional limit
    parameter int KW_W         = 32,    // bits of a signed exposure
    parameter int KW_PER_LOT_W = 16,    // bits of what a lot adds to an exposure
    parameter int SEEN_SETS    = 256,   // hash values of remembered ids
    parameter int SEEN_WAYS    = 4,     // ids of one hash value
    parameter int MAP_W        = 10,    // bits of a listing id that choose its row in the map
    parameter int RECORDS_MAX  = 8      // records in a frame; a power of 2, 2 or more
) (
    input  wire logic        clk,
    input  wire logic        rst,  // synchronous, active high

    input  wire logic [63:0] s_axis_tdata,
    input  wire logic        s_axis_tvalid,
    output wire logic        s_axis_tready,
    input  wire logic        s_axis_tlast,

    output wire logic [63:0] m_axis_tdata,
    output wire logic        m_axis_tvalid,
    input  wire logic        m_axis_tready,
    output wire logic        m_axis_tlast,

    input  wire logic [15:0] s_axil_awaddr,
    input  wire logic        s_axil_awvalid,
    output wire logic        s_axil_awready,
    input  wire logic [31:0] s_axil_wdata,
    input  wire logic [3:0]  s_axil_wstrb,
    input  wire logic        s_axil_wvalid,
    output wire logic        s_axil_wready,
    output wire logic [1:0]  s_axil_bresp,
    output wire logic        s_axil_bvalid,
    input  wire logic        s_axil_bready,
    input  wire logic [15:0] s_axil_araddr,
    input  wire logic        s_axil_arvalid,
    output wire logic        s_axil_arready,
    output wire logic [31:0] s_axil_rdata,
    output wire logic [1:0]  s_axil_rresp,
    output wire logic        s_axil_rvalid,
    input  wire logic        s_axil_rready
);
    localparam int PAGES   = 2;
    localparam int SLOT_W  = $clog2(SLOTS);
    localparam int COUNT_W = 32;

    // ---- registers ----
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

    wire logic [15:0]        cfg_producer;
    wire logic [31:0]        cfg_map_listing;
    wire logic [SLOT_W-1:0]  cfg_map_slot;
    wire logic               cfg_map_valid, cfg_map_write, cfg_map_read;
    wire logic [31:0]        sts_map_row_listing;
    wire logic [SLOT_W-1:0]  sts_map_row_slot;
    wire logic               sts_map_row_valid, map_hold;
    wire logic [COUNT_W-1:0] sts_frame_count, sts_refused_count, sts_reference_count, sts_misfit_count;
    wire logic [COUNT_W-1:0] sts_passed_count, sts_verdict_refused_count, sts_undone_count;
    wire logic [3:0]         sts_refused_reason;
    wire logic               frames_occupied;
    logic                    sts_occupied;
    wire logic [7:0]         sts_undone_reason;

    risk_offload_regs #(
        .NEXT(32'h1000),
        .SLOTS(SLOTS),
        .RECORDS_MAX(RECORDS_MAX)
    ) i_regs (
        .clk(clk),
        .rst(rst),
        .hold(map_hold),
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
        .cfg_producer(cfg_producer),
        .cfg_map_listing(cfg_map_listing),
        .cfg_map_slot(cfg_map_slot),
        .cfg_map_valid(cfg_map_valid),
        .cfg_map_write(cfg_map_write),
        .cfg_map_read(cfg_map_read),
        .sts_map_row_listing(sts_map_row_listing),
        .sts_map_row_slot(sts_map_row_slot),
        .sts_map_row_valid(sts_map_row_valid),
        .sts_frame_count(sts_frame_count),
        .sts_refused_count(sts_refused_count),
        .sts_refused_reason(sts_refused_reason),
        .sts_reference_count(sts_reference_count),
        .sts_misfit_count(sts_misfit_count),
        .sts_passed_count(sts_passed_count),
        .sts_verdict_refused_count(sts_verdict_refused_count),
        .sts_undone_count(sts_undone_count),
        .sts_undone_reason(sts_undone_reason),
        .sts_occupied(sts_occupied)
    );

    // ---- frames into orders and references ----
    wire logic              lookup_busy, lookup_tvalid, lookup_hit;
    wire logic [31:0]       lookup_listing;
    wire logic [SLOT_W-1:0] lookup_slot;

    slot_map #(
        .SLOTS(SLOTS),
        .MAP_W(MAP_W)
    ) i_map (
        .clk(clk),
        .rst(rst),
        .cfg_map_write(cfg_map_write),
        .cfg_map_read(cfg_map_read),
        .cfg_map_listing(cfg_map_listing),
        .cfg_map_slot(cfg_map_slot),
        .cfg_map_valid(cfg_map_valid),
        .sts_map_stored_listing(sts_map_row_listing),
        .sts_map_stored_slot(sts_map_row_slot),
        .sts_map_stored_valid(sts_map_row_valid),
        .sts_hold(map_hold),
        .busy(lookup_busy),
        .look(lookup_tvalid),
        .look_listing(lookup_listing),
        .hit(lookup_hit),
        .slot(lookup_slot)
    );

    wire logic                      ref_tvalid, ref_has_price;
    wire logic [SLOT_W-1:0]         ref_slot, order_slot;
    wire logic signed [PRICE_W-1:0] ref_price_ticks, order_price_ticks;
    wire logic [63:0]               ref_at_ns, order_at_ns, order_intent_id;
    wire logic                      order_tvalid, order_tready, order_fits;
    wire logic [1:0]                order_kind, order_side;
    wire logic [QTY_W-1:0]          order_lots;
    wire logic                      note_tvalid, note_tready;
    wire logic [31:0]               note_listing_id, note_strategy_id;
    wire logic [63:0]               note_source_ns, note_recv_ns, note_cause_seq, note_correlation_seq;

    order_frames #(
        .SLOTS(SLOTS),
        .PRICE_W(PRICE_W),
        .QTY_W(QTY_W),
        .RECORDS_MAX(RECORDS_MAX),
        .COUNT_W(COUNT_W)
    ) i_frames (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast),
        .lookup_busy(lookup_busy),
        .lookup_tvalid(lookup_tvalid),
        .lookup_listing(lookup_listing),
        .lookup_hit(lookup_hit),
        .lookup_slot(lookup_slot),
        .m_ref_tvalid(ref_tvalid),
        .m_ref_slot(ref_slot),
        .m_ref_has_price(ref_has_price),
        .m_ref_price_ticks(ref_price_ticks),
        .m_ref_at_ns(ref_at_ns),
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
        .m_note_tvalid(note_tvalid),
        .m_note_tready(note_tready),
        .m_note_listing_id(note_listing_id),
        .m_note_strategy_id(note_strategy_id),
        .m_note_source_ns(note_source_ns),
        .m_note_recv_ns(note_recv_ns),
        .m_note_cause_seq(note_cause_seq),
        .m_note_correlation_seq(note_correlation_seq),
        .sts_frame_count(sts_frame_count),
        .sts_refused_count(sts_refused_count),
        .sts_refused_reason(sts_refused_reason),
        .sts_reference_count(sts_reference_count),
        .sts_misfit_count(sts_misfit_count),
        .sts_occupied(frames_occupied)
    );

    // ---- the gate ----
    wire logic        verdict_tvalid, verdict_tready;
    wire logic [1:0]  verdict_kind;
    wire logic [7:0]  verdict_reason;
    wire logic [63:0] verdict_at_ns, verdict_intent_id;

    // An answer repeats its order from the note; the page of the gate has its own switches.
    wire logic [SLOT_W-1:0]         verdict_slot;
    wire logic [1:0]                verdict_side;
    wire logic signed [PRICE_W-1:0] verdict_price_ticks;
    wire logic [QTY_W-1:0]          verdict_lots;
    wire logic                      verdict_tag, gate_killed, gate_hold;
    wire logic unused = &{1'b0, verdict_slot, verdict_side, verdict_price_ticks, verdict_lots, verdict_tag, gate_killed,
                          gate_hold};

    risk_gate_axil #(
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
        .TAG_W(1),
        .COUNT_W(COUNT_W)
    ) i_gate (
        .clk(clk),
        .rst(rst),
        .kill(1'b0),
        .pause(1'b0),
        .killed(gate_killed),
        .hold(gate_hold),
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
        .s_ref_tvalid(ref_tvalid),
        .s_ref_slot(ref_slot),
        .s_ref_has_price(ref_has_price),
        .s_ref_price_ticks(ref_price_ticks),
        .s_ref_at_ns(ref_at_ns),
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
        .s_order_tag(1'b0),
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

    // The gate owes a verdict for what it took, at most one more than waits at its output.
    logic [1:0] gate_owes_q;
    always_ff @(posedge clk) begin
        gate_owes_q  <= gate_owes_q + 2'(order_tvalid && order_tready) - 2'(verdict_tvalid && verdict_tready);
        sts_occupied <= frames_occupied || order_tvalid && order_tready || gate_owes_q != 0;
        if (rst) begin
            gate_owes_q  <= '0;
            sts_occupied <= 1'b0;
        end
    end

    // ---- verdicts into frames ----
    verdict_frames #(
        .COUNT_W(COUNT_W)
    ) i_verdicts (
        .clk(clk),
        .rst(rst),
        .s_note_tvalid(note_tvalid),
        .s_note_tready(note_tready),
        .s_note_listing_id(note_listing_id),
        .s_note_strategy_id(note_strategy_id),
        .s_note_source_ns(note_source_ns),
        .s_note_recv_ns(note_recv_ns),
        .s_note_cause_seq(note_cause_seq),
        .s_note_correlation_seq(note_correlation_seq),
        .s_verdict_tvalid(verdict_tvalid),
        .s_verdict_tready(verdict_tready),
        .s_verdict_kind(verdict_kind),
        .s_verdict_reason(verdict_reason),
        .s_verdict_at_ns(verdict_at_ns),
        .s_verdict_intent_id(verdict_intent_id),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready),
        .m_axis_tlast(m_axis_tlast),
        .cfg_producer(cfg_producer),
        .sts_passed_count(sts_passed_count),
        .sts_verdict_refused_count(sts_verdict_refused_count),
        .sts_undone_count(sts_undone_count),
        .sts_undone_reason(sts_undone_reason)
    );
endmodule
`default_nettype wire
