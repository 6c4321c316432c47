// SPDX-License-Identifier: Apache-2.0
// For proofs alone: the rules of an AXI4-Lite slave's port, seen from the slave. The master's channels (AW, W, AR) are
// assumed to keep the handshake rules; the slave's (B, R) are asserted to, and no answer comes that was not asked for.
// Every request counted here was taken; OPEN_MAX bounds how many the slave may hold before it answers.
`default_nettype none
module axil_rules #(
    parameter int ADDR_W   = 12,
    parameter int OPEN_MAX = 2  // requests of one direction taken and not answered yet; at most 14
) (
    input  wire logic              clk,
    input  wire logic              rst,
    input  wire logic [ADDR_W-1:0] awaddr,
    input  wire logic              awvalid,
    input  wire logic              awready,
    input  wire logic [31:0]       wdata,
    input  wire logic [3:0]        wstrb,
    input  wire logic              wvalid,
    input  wire logic              wready,
    input  wire logic [1:0]        bresp,
    input  wire logic              bvalid,
    input  wire logic              bready,
    input  wire logic [ADDR_W-1:0] araddr,
    input  wire logic              arvalid,
    input  wire logic              arready,
    input  wire logic [31:0]       rdata,
    input  wire logic [1:0]        rresp,
    input  wire logic              rvalid,
    input  wire logic              rready,
    output wire logic [3:0]        aw_open,  // requests taken and not answered, for a proof by induction to tie to its own state
    output wire logic [3:0]        w_open,
    output wire logic [3:0]        ar_open
);
    axis_rules #(.WIDTH(ADDR_W), .ASSUME(1)) aw_i (.clk, .rst, .tvalid(awvalid), .tready(awready), .payload(awaddr));
    axis_rules #(.WIDTH(36),     .ASSUME(1)) w_i  (.clk, .rst, .tvalid(wvalid),  .tready(wready),  .payload({wstrb, wdata}));
    axis_rules #(.WIDTH(ADDR_W), .ASSUME(1)) ar_i (.clk, .rst, .tvalid(arvalid), .tready(arready), .payload(araddr));
    axis_rules #(.WIDTH(2))                  b_i  (.clk, .rst, .tvalid(bvalid),  .tready(bready),  .payload(bresp));
    axis_rules #(.WIDTH(34))                 r_i  (.clk, .rst, .tvalid(rvalid),  .tready(rready),  .payload({rresp, rdata}));

    // Taken and not answered yet; an answer that is offered counts as open until it is taken.
    logic [3:0] aw_open_q, w_open_q, ar_open_q;
    logic       ran_q;

    assign aw_open = aw_open_q;
    assign w_open  = w_open_q;
    assign ar_open = ar_open_q;

    initial ran_q = 1'b0;
    always_ff @(posedge clk) begin
        ran_q     <= 1'b1;
        aw_open_q <= aw_open_q + 4'(awvalid && awready) - 4'(bvalid && bready);
        w_open_q  <= w_open_q + 4'(wvalid && wready) - 4'(bvalid && bready);
        ar_open_q <= ar_open_q + 4'(arvalid && arready) - 4'(rvalid && rready);
        if (rst) begin
            aw_open_q <= '0;
            w_open_q  <= '0;
            ar_open_q <= '0;
        end
    end

    always_comb if (ran_q) begin
        asked_write: assert (!bvalid || (aw_open_q != 0 && w_open_q != 0));
        asked_read:  assert (!rvalid || ar_open_q != 0);
        open_write:  assert (aw_open_q <= 4'(OPEN_MAX) && w_open_q <= 4'(OPEN_MAX));
        open_read:   assert (ar_open_q <= 4'(OPEN_MAX));
        answer:      assert ((!bvalid || bresp == 2'b00 || bresp == 2'b10) && (!rvalid || rresp == 2'b00 || rresp == 2'b10));
    end
endmodule
`default_nettype wire
