// SPDX-License-Identifier: Apache-2.0
// Carry-save step: of each three rows make two of the same sum, modulo 2**W; what is left over passes as it is.
//
// Latency: none, one LUT. Products are summed so, in LUTs between registers: DSP blocks have no delays in the open tools'
// model of the xc7z020, and a figure that leaves them out would be too good.
`default_nettype none
module carry_save #(
    parameter int ROWS = 3,  // addends
    parameter int W    = 8   // bits of each
) (
    input  wire logic [ROWS*W-1:0]            rows,  // row i in rows[i*W +: W]
    output wire logic [(ROWS-ROWS/3)*W-1:0]   fewer
);
    localparam int GROUPS = ROWS / 3, REST = ROWS % 3;

    generate
        for (genvar i = 0; i < GROUPS; i = i + 1) begin : g_group
            wire logic [W-1:0] a = rows[(3*i)*W +: W];
            wire logic [W-1:0] b = rows[(3*i+1)*W +: W];
            wire logic [W-1:0] c = rows[(3*i+2)*W +: W];
            wire logic [W-2:0] carry = (a[W-2:0] & b[W-2:0]) | (a[W-2:0] & c[W-2:0]) | (b[W-2:0] & c[W-2:0]);
            assign fewer[(2*i)*W +: W] = a ^ b ^ c;
            assign fewer[(2*i+1)*W +: W] = {carry, 1'b0};
        end
        if (REST > 0) begin : g_rest
            assign fewer[(2*GROUPS)*W +: REST*W] = rows[(3*GROUPS)*W +: REST*W];
        end
    endgenerate
endmodule
`default_nettype wire
