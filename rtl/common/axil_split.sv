// SPDX-License-Identifier: Apache-2.0
// One AXI4-Lite port to PAGES of them, by address: page 0 is the first 4 KiB, page 1 the next. Above the last: SLVERR.
//
// Page p has bit p of m_axil_…valid and …ready, bits [32p +: 32] of m_axil_rdata and [2p +: 2] of its responses; address
// and data of a request go to all. One write and one read at a time, each beside the other.
//
// Latency: 2 cycles to the page (address and data both there), 1 back; 2 in all to SLVERR. Every valid and ready comes
// from registers. A page that never answers holds its direction up for ever.
`default_nettype none
module axil_split #(
    parameter int PAGES  = 2,
    parameter int ADDR_W = 16  // bits of the address in bytes, 13 or more
) (
    input  wire logic                clk,
    input  wire logic                rst,  // synchronous, active high

    input  wire logic [ADDR_W-1:0]   s_axil_awaddr,
    input  wire logic                s_axil_awvalid,
    output wire logic                s_axil_awready,
    input  wire logic [31:0]         s_axil_wdata,
    input  wire logic [3:0]          s_axil_wstrb,
    input  wire logic                s_axil_wvalid,
    output wire logic                s_axil_wready,
    output      logic [1:0]          s_axil_bresp,
    output      logic                s_axil_bvalid,
    input  wire logic                s_axil_bready,
    input  wire logic [ADDR_W-1:0]   s_axil_araddr,
    input  wire logic                s_axil_arvalid,
    output wire logic                s_axil_arready,
    output      logic [31:0]         s_axil_rdata,
    output      logic [1:0]          s_axil_rresp,
    output      logic                s_axil_rvalid,
    input  wire logic                s_axil_rready,

    output wire logic [11:0]         m_axil_awaddr,   // within the page
    output wire logic [PAGES-1:0]    m_axil_awvalid,
    input  wire logic [PAGES-1:0]    m_axil_awready,
    output wire logic [31:0]         m_axil_wdata,
    output wire logic [3:0]          m_axil_wstrb,
    output wire logic [PAGES-1:0]    m_axil_wvalid,
    input  wire logic [PAGES-1:0]    m_axil_wready,
    input  wire logic [2*PAGES-1:0]  m_axil_bresp,
    input  wire logic [PAGES-1:0]    m_axil_bvalid,
    output wire logic [PAGES-1:0]    m_axil_bready,
    output wire logic [11:0]         m_axil_araddr,
    output wire logic [PAGES-1:0]    m_axil_arvalid,
    input  wire logic [PAGES-1:0]    m_axil_arready,
    input  wire logic [32*PAGES-1:0] m_axil_rdata,
    input  wire logic [2*PAGES-1:0]  m_axil_rresp,
    input  wire logic [PAGES-1:0]    m_axil_rvalid,
    output wire logic [PAGES-1:0]    m_axil_rready
);
    localparam logic [1:0] SLVERR = 2'b10;
    localparam int PAGE_W = ADDR_W - 12;

    initial begin
        if (PAGES < 1) $fatal(1, "%m: PAGES=%0d, wanted 1 or more", PAGES);
        if (ADDR_W < 13 || ADDR_W > 32) $fatal(1, "%m: ADDR_W=%0d, wanted 13 .. 32", ADDR_W);
        if (PAGE_W < 31 && PAGES > 1 << PAGE_W) $fatal(1, "%m: PAGES=%0d does not fit ADDR_W=%0d", PAGES, ADDR_W);
    end

    // A write: both parts are taken, then handed on, each when the page takes it; then its answer comes back.
    logic              aw_q, w_q;          // taken and not answered yet
    logic [ADDR_W-1:0] awaddr_q;
    logic [31:0]       wdata_q;
    logic [3:0]        wstrb_q;
    logic              write_sent_q;       // handed on, or being handed on
    logic              aw_out_q, w_out_q;  // offered to the page
    logic [PAGES-1:0]  write_page_q;       // one bit set

    wire logic [PAGE_W-1:0] write_page = awaddr_q[ADDR_W-1:12];
    wire logic write_starts = aw_q && w_q && !write_sent_q;
    wire logic write_mapped = 32'(write_page) < 32'(PAGES);

    assign s_axil_awready = !aw_q && !s_axil_bvalid;
    assign s_axil_wready  = !w_q && !s_axil_bvalid;
    assign m_axil_awaddr  = awaddr_q[11:0];
    assign m_axil_wdata   = wdata_q;
    assign m_axil_wstrb   = wstrb_q;
    assign m_axil_awvalid = aw_out_q ? write_page_q : '0;
    assign m_axil_wvalid  = w_out_q ? write_page_q : '0;
    assign m_axil_bready  = write_sent_q && !aw_out_q && !w_out_q ? write_page_q : '0;
    wire logic write_answered = |(m_axil_bvalid & m_axil_bready);

    // A read.
    logic              ar_q;
    logic [ADDR_W-1:0] araddr_q;
    logic              read_sent_q, ar_out_q;
    logic [PAGES-1:0]  read_page_q;

    wire logic [PAGE_W-1:0] read_page = araddr_q[ADDR_W-1:12];
    wire logic read_starts = ar_q && !read_sent_q;
    wire logic read_mapped = 32'(read_page) < 32'(PAGES);

    assign s_axil_arready = !ar_q && !s_axil_rvalid;
    assign m_axil_araddr  = araddr_q[11:0];
    assign m_axil_arvalid = ar_out_q ? read_page_q : '0;
    assign m_axil_rready  = read_sent_q && !ar_out_q ? read_page_q : '0;
    wire logic read_answered = |(m_axil_rvalid & m_axil_rready);

    always_ff @(posedge clk) begin
        if (s_axil_awvalid && s_axil_awready) begin
            aw_q     <= 1'b1;
            awaddr_q <= s_axil_awaddr;
        end
        if (s_axil_wvalid && s_axil_wready) begin
            w_q     <= 1'b1;
            wdata_q <= s_axil_wdata;
            wstrb_q <= s_axil_wstrb;
        end
        if (|(m_axil_awvalid & m_axil_awready)) aw_out_q <= 1'b0;
        if (|(m_axil_wvalid & m_axil_wready)) w_out_q <= 1'b0;
        if (write_starts && write_mapped) begin
            write_sent_q <= 1'b1;
            aw_out_q     <= 1'b1;
            w_out_q      <= 1'b1;
            write_page_q <= PAGES'(1) << write_page;
        end
        if (s_axil_bready) s_axil_bvalid <= 1'b0;
        if (write_answered || write_starts && !write_mapped) begin
            aw_q <= 1'b0;
            w_q  <= 1'b0;
            write_sent_q  <= 1'b0;
            s_axil_bvalid <= 1'b1;
            s_axil_bresp  <= write_answered ? m_axil_bresp[2 * 32'(write_page) +: 2] : SLVERR;
        end

        if (s_axil_arvalid && s_axil_arready) begin
            ar_q     <= 1'b1;
            araddr_q <= s_axil_araddr;
        end
        if (|(m_axil_arvalid & m_axil_arready)) ar_out_q <= 1'b0;
        if (read_starts && read_mapped) begin
            read_sent_q <= 1'b1;
            ar_out_q    <= 1'b1;
            read_page_q <= PAGES'(1) << read_page;
        end
        if (s_axil_rready) s_axil_rvalid <= 1'b0;
        if (read_answered || read_starts && !read_mapped) begin
            ar_q <= 1'b0;
            read_sent_q   <= 1'b0;
            s_axil_rvalid <= 1'b1;
            s_axil_rresp  <= read_answered ? m_axil_rresp[2 * 32'(read_page) +: 2] : SLVERR;
            s_axil_rdata  <= read_answered ? m_axil_rdata[32 * 32'(read_page) +: 32] : '0;
        end

        if (rst) begin
            aw_q <= 1'b0;
            w_q  <= 1'b0;
            write_sent_q  <= 1'b0;
            aw_out_q      <= 1'b0;
            w_out_q       <= 1'b0;
            s_axil_bvalid <= 1'b0;
            ar_q <= 1'b0;
            read_sent_q   <= 1'b0;
            ar_out_q      <= 1'b0;
            s_axil_rvalid <= 1'b0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    wire logic [3:0] aw_open, w_open, ar_open;
    axil_rules #(.ADDR_W(ADDR_W), .OPEN_MAX(1)) s_axil_i (
        .clk, .rst, .aw_open, .w_open, .ar_open,
        .awaddr(s_axil_awaddr), .awvalid(s_axil_awvalid), .awready(s_axil_awready),
        .wdata(s_axil_wdata), .wstrb(s_axil_wstrb), .wvalid(s_axil_wvalid), .wready(s_axil_wready),
        .bresp(s_axil_bresp), .bvalid(s_axil_bvalid), .bready(s_axil_bready),
        .araddr(s_axil_araddr), .arvalid(s_axil_arvalid), .arready(s_axil_arready),
        .rdata(s_axil_rdata), .rresp(s_axil_rresp), .rvalid(s_axil_rvalid), .rready(s_axil_rready)
    );

    // One page, any.
    (* anyconst *) logic [PAGE_W-1:0] any_page;
    always_comb assume (32'(any_page) < 32'(PAGES));
    axis_rules #(.WIDTH(12)) m_aw_i (
        .clk, .rst, .tvalid(m_axil_awvalid[any_page]), .tready(m_axil_awready[any_page]), .payload(m_axil_awaddr)
    );
    axis_rules #(.WIDTH(36)) m_w_i (
        .clk, .rst, .tvalid(m_axil_wvalid[any_page]), .tready(m_axil_wready[any_page]), .payload({wstrb_q, wdata_q})
    );
    axis_rules #(.WIDTH(12)) m_ar_i (
        .clk, .rst, .tvalid(m_axil_arvalid[any_page]), .tready(m_axil_arready[any_page]), .payload(m_axil_araddr)
    );
    // Pages answer with OKAY or SLVERR; when, and whether they were asked, is theirs.
    wire logic [1:0] any_bresp = m_axil_bresp[2 * 32'(write_page) +: 2];
    wire logic [1:0] any_rresp = m_axil_rresp[2 * 32'(read_page) +: 2];
    always_comb assume (!any_bresp[0] && !any_rresp[0]);

    always_comb if (ran_q) begin
        one_write: assert (aw_open == 4'(aw_q || s_axil_bvalid) && w_open == 4'(w_q || s_axil_bvalid));
        one_read:  assert (ar_open == 4'(ar_q || s_axil_rvalid));
        one_state: assert (!(s_axil_bvalid && (aw_q || w_q)) && !(s_axil_rvalid && ar_q));
        sent:      assert (!write_sent_q || (aw_q && w_q && 32'(write_page) < 32'(PAGES)
                           && write_page_q == PAGES'(1) << write_page));
        offered:   assert (write_sent_q || !(aw_out_q || w_out_q));
        read_sent: assert (!read_sent_q || (ar_q && 32'(read_page) < 32'(PAGES)
                           && read_page_q == PAGES'(1) << read_page));
        read_out:  assert (read_sent_q || !ar_out_q);
        // A page is asked, and listened to, only for its own addresses.
        aw_page:   assert (!(m_axil_awvalid[any_page] || m_axil_wvalid[any_page] || m_axil_bready[any_page])
                           || write_page == any_page);
        ar_page:   assert (!(m_axil_arvalid[any_page] || m_axil_rready[any_page]) || read_page == any_page);
        no_page:   assert (!s_axil_bvalid || 32'(write_page) < 32'(PAGES) || s_axil_bresp == SLVERR);
        no_read:   assert (!s_axil_rvalid || 32'(read_page) < 32'(PAGES)
                           || (s_axil_rresp == SLVERR && s_axil_rdata == '0));
    end
`endif
endmodule
`default_nettype wire
