// SPDX-License-Identifier: Apache-2.0
// The rows of a product: for each two bits of the multiplier 0, 1, 2 or 3 times the multiplicand, in its place. Their sum
// is the product, modulo 2**W.
//
// Latency: none, one LUT: three times the multiplicand comes from outside, where a register has it ready.
`default_nettype none
module radix4_rows #(
    parameter int A_W  = 8,             // bits of the multiplicand, signed
    parameter int B_W  = 8,             // bits of the multiplier, unsigned
    parameter int W    = 20,            // bits of a row, A_W + 2 or more
    parameter int ROWS = (B_W + 1) / 2  // not to be set
) (
    input  wire logic signed [A_W-1:0] once,
    input  wire logic signed [A_W+1:0] thrice,  // 3 * once
    input  wire logic [B_W-1:0]        times,
    output wire logic [ROWS*W-1:0]     rows
);
    wire logic signed [W-1:0] one   = W'(once);
    wire logic signed [W-1:0] three = W'(thrice);
    wire logic [2*ROWS-1:0]   bits  = (2*ROWS)'(times);

    generate
        for (genvar i = 0; i < ROWS; i = i + 1) begin : g_row
            wire logic [W-1:0] row = bits[2*i+1] ? (bits[2*i] ? three : one <<< 1) : (bits[2*i] ? one : '0);
            assign rows[i*W +: W] = row << 2*i;
        end
    endgenerate
endmodule
`default_nettype wire
