// SPDX-License-Identifier: Apache-2.0
// For proofs alone: every trace begins in reset, whatever the registers held before. One in each proven module.
`default_nettype none
module formal_reset (
    input  wire logic clk,
    input  wire logic rst,
    output      logic ran_q  // a clock edge has passed: what a register holds now, it holds by the design
);
    initial ran_q = 1'b0;
    always_ff @(posedge clk) ran_q <= 1'b1;
    always_comb if (!ran_q) assume (rst);
endmodule
`default_nettype wire
