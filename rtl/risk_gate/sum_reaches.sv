// SPDX-License-Identifier: Apache-2.0
// Is the sum of two rows and a number 0 or more? So a product that is still two rows is held against a limit, without
// being added up first: product >= limit is product + (-limit) >= 0.
//
// Latency 1 cycle: one LUT and a carry chain. One answer per cycle.
`default_nettype none
module sum_reaches #(
    parameter int W = 8  // bits; the sum of the three fits W bits as a signed number
) (
    input  wire logic                clk,
    input  wire logic [W-1:0]        rows_a,
    input  wire logic [W-1:0]        rows_b,
    input  wire logic [W-1:0]        number,    // two's complement
    input  wire logic                plus_one,  // 1: one more is added
    output      logic                reaches
);
    wire logic [W-1:0] sum   = rows_a ^ rows_b ^ number;
    wire logic [W-2:0] carry = (rows_a[W-2:0] & rows_b[W-2:0]) | (rows_a[W-2:0] & number[W-2:0]) |
                               (rows_b[W-2:0] & number[W-2:0]);
    wire logic [W-1:0] total = sum + {carry, plus_one};

    always_ff @(posedge clk) reaches <= !total[W-1];
endmodule
`default_nettype wire
