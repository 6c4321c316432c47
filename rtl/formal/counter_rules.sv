// SPDX-License-Identifier: Apache-2.0
// For proofs alone: a counter never goes back except by reset, so it never wraps silently; and it moves by STEP_MAX at most.
`default_nettype none
module counter_rules #(
    parameter int WIDTH    = 32,  // bits of the counter
    parameter int STEP_MAX = 1    // the most that one clock may add
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic [WIDTH-1:0] count
);
    logic             ran_q, rst_q;
    logic [WIDTH-1:0] count_q;

    initial ran_q = 1'b0;
    always_ff @(posedge clk) begin
        ran_q   <= 1'b1;
        rst_q   <= rst;
        count_q <= count;
    end

    always_comb if (ran_q) begin
        if (rst_q) cleared: assert (count == '0);
        else begin
            rising: assert (count >= count_q);
            small:  assert (count - count_q <= WIDTH'(STEP_MAX));
        end
    end
endmodule
`default_nettype wire
