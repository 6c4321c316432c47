// SPDX-License-Identifier: Apache-2.0
// For proofs alone: the rules of a handshaked stream. Assert them where the module drives tvalid (m_), assume them where
// its neighbour does (s_, ASSUME = 1).
//   offered   tvalid, once high, stays high until the beat is taken
//   held      the payload of a beat that was offered and not taken is the same a clock later
//   silent    after a clock in reset nothing is offered (asserted only: a neighbour may be out of reset earlier)
`default_nettype none
module axis_rules #(
    parameter int WIDTH  = 64,  // bits of the payload: all signals that tvalid covers, as one vector
    parameter bit ASSUME = 0    // 1: the neighbour keeps the rules
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic             tvalid,
    input  wire logic             tready,
    input  wire logic [WIDTH-1:0] payload
);
    logic             ran_q, rst_q, waits_q;
    logic [WIDTH-1:0] payload_q;

    initial ran_q = 1'b0;
    always_ff @(posedge clk) begin
        ran_q     <= 1'b1;
        rst_q     <= rst;
        waits_q   <= tvalid && !tready && !rst;
        payload_q <= payload;
    end

    generate
        if (ASSUME) begin : g_assume
            always_comb if (ran_q && waits_q) begin
                assume (tvalid);
                assume (payload == payload_q);
            end
        end else begin : g_assert
            always_comb begin
                if (ran_q && waits_q) begin
                    offered: assert (tvalid);
                    held:    assert (payload == payload_q);
                end
                if (ran_q && rst_q) silent: assert (!tvalid);
            end
        end
    endgenerate
endmodule
`default_nettype wire
