// SPDX-License-Identifier: Apache-2.0
// What each delivery interval holds and may hold, in kW: one RAM row per interval and side, compared and updated here.
//
// Of a side a row has what its orders may yet add (working), the position in its direction (net: bought less sold for
// buyers, the opposite for sellers), both together (worst), the limit, and the room left: limit - worst. So an order needs
// one comparison, and each update puts all of them right. 2**(KW_W-1) - 1 is the first number that does not fit. A net of
// -2**(KW_W-1), which has no opposite, is held as one more: no sale fits then.
//
// Latency: a row is read in every cycle; two cycles later its fields stand, three cycles later the answers. With `update`
// the row is changed by `change` and written six cycles after it was asked for; it may be asked for again only after that.
// `enter` adds the product to the row asked for, which stood for four cycles or more by then.
`default_nettype none
module position_check #(
    parameter int INTERVALS  = 1024,              // delivery intervals
    parameter int KW_W       = 32,                // bits of a signed exposure
    parameter int W          = 42,                // bits of the product's rows
    parameter int INTERVAL_W = $clog2(INTERVALS)  // not to be set
) (
    input  wire logic                   clk,
    input  wire logic                   rst,
    input  wire logic                   clear,      // empty row clear_row
    input  wire logic [INTERVAL_W:0]    clear_row,

    input  wire logic                   update,
    input  wire logic [INTERVAL_W-1:0]  interval,
    input  wire logic                   sell,
    input  wire logic                   order_sell, // side of the order that updates
    input  wire logic [2:0]             change,
    input  wire logic                   enter,

    input  wire logic [W-1:0]           rows_a,     // the order's quantity in kW: as rows …
    input  wire logic [W-1:0]           rows_b,
    input  wire logic [KW_W-2:0]        number,     // … and as a number

    input  wire logic [KW_W-2:0]        cfg_long_max_kw,
    input  wire logic [KW_W-2:0]        cfg_short_max_kw,
    input  wire logic signed [KW_W-1:0] cfg_net_kw,
    input  wire logic [KW_W-2:0]        cfg_buy_working_kw,
    input  wire logic [KW_W-2:0]        cfg_sell_working_kw,

    output wire logic                   busy,         // an update is on its way
    output wire logic                   working_over, // working and the order do not fit
    output wire logic                   worst_over,   // worst and the order do not fit
    output wire logic                   net_over,     // net and the order do not fit
    output wire logic                   beyond,       // the order goes beyond the limit, or the limit is 0
    output wire logic                   short_of,     // less is working than the order has

    output wire logic [KW_W-2:0]        row_working,
    output wire logic signed [KW_W-1:0] row_net,
    output wire logic [KW_W-2:0]        row_limit
);
    localparam logic [2:0] CHANGE_ADD = 3'd0, CHANGE_TAKE = 3'd1, CHANGE_FILL = 3'd2, CHANGE_LIMIT = 3'd3;
    localparam logic [2:0] CHANGE_EXPOSURE = 3'd4;
    localparam int ROW_W = (KW_W-1) + KW_W + (KW_W+1) + (KW_W-1) + (KW_W+1);
    localparam int K = KW_W;

    (* ram_style = "block" *)
    logic [ROW_W-1:0]      table_q [0:2*(1 << INTERVAL_W)-1];
    logic [ROW_W-1:0]      raw_q;
    logic [INTERVAL_W:0]   raw_at_q, row_at_q, at_1_q, at_2_q;
    logic                  raw_update_q, row_update_q, update_1_q, update_2_q;

    // the row asked for
    logic        [K-2:0] working_q, limit_q;
    logic signed [K-1:0] net_q;
    logic signed [K:0]   worst_q, room_q;
    logic                unlimited_none_q;

    assign row_working = working_q;
    assign row_net     = net_q;
    assign row_limit   = limit_q;

    // - 2**(K-1) changes the top bits alone; with plus_one that is less the first number that does not fit.
    wire logic signed [2:0] worst_top = $signed({worst_q[K], worst_q[K:K-1]}) - 3'sd1;
    wire logic signed [W-1:0] worst_less = {{(W-K-2){worst_top[2]}}, worst_top, worst_q[K-2:0]};
    wire logic signed [W-1:0] net_less = {{(W-K){1'b1}}, !net_q[K-1], net_q[K-2:0]};
    wire logic signed [W-1:0] working_less = {{(W-K+1){1'b1}}, working_q};
    wire logic signed [W-1:0] working_not = {{(W-K+1){1'b1}}, ~working_q};
    wire logic signed [W-1:0] room_not = {{(W-K-1){!room_q[K]}}, ~room_q};
    wire logic beyond_room;
    sum_reaches #(.W(W)) u_working_over (
        .clk(clk), .rows_a(rows_a), .rows_b(rows_b), .number(working_less), .plus_one(1'b1), .reaches(working_over)
    );
    sum_reaches #(.W(W)) u_worst_over (
        .clk(clk), .rows_a(rows_a), .rows_b(rows_b), .number(worst_less), .plus_one(1'b1), .reaches(worst_over)
    );
    sum_reaches #(.W(W)) u_net_over (
        .clk(clk), .rows_a(rows_a), .rows_b(rows_b), .number(net_less), .plus_one(1'b1), .reaches(net_over)
    );
    sum_reaches #(.W(W)) u_beyond (
        .clk(clk), .rows_a(rows_a), .rows_b(rows_b), .number(room_not), .plus_one(1'b0), .reaches(beyond_room)
    );
    sum_reaches #(.W(W)) u_short_of (
        .clk(clk), .rows_a(rows_a), .rows_b(rows_b), .number(working_not), .plus_one(1'b0), .reaches(short_of)
    );
    assign beyond = beyond_room || unlimited_none_q;

    // a change but for `enter`, in three steps
    logic signed [K-1:0] set_net_q;  // stands long before the row does
    wire logic no_opposite = cfg_net_kw[K-1] && !(|cfg_net_kw[K-2:0]);
    wire logic own = row_at_q[0] == order_sell;
    wire logic [K-1:0] less = {1'b0, working_q} - {1'b0, number};
    wire logic [K-2:0] set_working = row_at_q[0] ? cfg_sell_working_kw : cfg_buy_working_kw;
    logic        [K-2:0] working_1_q, limit_1_q, working_2_q, limit_2_q;
    logic signed [K-1:0] net_1_q, net_2_q;
    logic signed [K:0]   worst_2_q;

    // What is written stands in registers: the row as it is after `enter`, unless another change is on its way.
    logic                  write_q;
    logic [INTERVAL_W:0]   write_at_q;
    logic [ROW_W-1:0]      write_row_q;
    assign busy = raw_update_q || row_update_q || update_1_q || update_2_q || write_q;
    wire logic signed [K:0] moved = $signed({2'b0, number});
    wire logic signed [K:0] room_2 = $signed({2'b0, limit_2_q}) - worst_2_q;

    always_ff @(posedge clk) begin
        if (write_q || enter) table_q[write_at_q] <= write_row_q;
        raw_q <= table_q[{interval, sell}];
    end

    always_ff @(posedge clk) begin
        raw_at_q     <= {interval, sell};
        raw_update_q <= update;
        row_at_q <= raw_at_q;
        row_update_q <= raw_update_q;
        {working_q, net_q, worst_q, limit_q, room_q} <= raw_q;
        unlimited_none_q <= limit_q == 0;

        working_1_q <= working_q;
        net_1_q     <= net_q;
        limit_1_q   <= limit_q;
        case (change)
            CHANGE_ADD:  working_1_q <= working_q + number;
            CHANGE_TAKE: working_1_q <= less[K-2:0];
            CHANGE_FILL: begin
                if (own) working_1_q <= less[K-1] ? '0 : less[K-2:0];
                net_1_q <= own ? net_q + $signed({1'b0, number}) : net_q - $signed({1'b0, number});
            end
            CHANGE_LIMIT: limit_1_q <= row_at_q[0] ? cfg_short_max_kw : cfg_long_max_kw;
            CHANGE_EXPOSURE: begin
                working_1_q <= set_working;
                net_1_q     <= row_at_q[0] ? -set_net_q : set_net_q;
            end
            default: ;
        endcase
        set_net_q  <= {cfg_net_kw[K-1:1], cfg_net_kw[0] || no_opposite};
        at_1_q     <= row_at_q;
        update_1_q <= row_update_q;

        {working_2_q, net_2_q, limit_2_q} <= {working_1_q, net_1_q, limit_1_q};
        worst_2_q  <= $signed({2'b0, working_1_q}) + (K+1)'(net_1_q);
        at_2_q     <= at_1_q;
        update_2_q <= update_1_q;

        write_q    <= clear || update_2_q;
        write_at_q <= clear ? clear_row : update_2_q ? at_2_q : row_at_q;
        write_row_q <=
            clear      ? '0 :
            update_2_q ? {working_2_q, net_2_q, worst_2_q, limit_2_q, room_2} :
                         {working_q + number, net_q, worst_q + moved, limit_q, room_q - moved};

        if (rst) begin
            raw_update_q <= 1'b0;
            row_update_q <= 1'b0;
            update_1_q   <= 1'b0;
            update_2_q   <= 1'b0;
            write_q      <= 1'b0;
        end
    end

`ifdef FORMAL
    // The answers are those of plain sums; the product is any number of its width.
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    localparam logic signed [W:0] MOST = (W+1)'(2**(K-1) - 1);
    logic true_q;  // the row was: see `kept`
    logic signed [W:0] product_q, working_p_q, net_p_q, limit_p_q;
    wire logic [W-1:0] product = rows_a + rows_b;
    wire logic row_true = worst_q == $signed({2'b0, working_q}) + (K+1)'(net_q) &&
                          room_q == $signed({2'b0, limit_q}) - worst_q;
    always_ff @(posedge clk) begin
        product_q   <= $signed({1'b0, product});
        working_p_q <= $signed({{(W-K+2){1'b0}}, working_q});
        net_p_q     <= (W+1)'(net_q);
        limit_p_q   <= $signed({{(W-K+2){1'b0}}, limit_q});
    end
    always_comb begin
        assume (product[W-1:W-2] == 0);
        if (ran_q && true_q) begin
            full:      assert (working_over == (working_p_q + product_q >= MOST));
            worst:     assert (worst_over == (working_p_q + net_p_q + product_q >= MOST));
            traded:    assert (net_over == (net_p_q + product_q >= MOST));
            within:    assert (beyond == (limit_p_q == 0 || working_p_q + net_p_q + product_q > limit_p_q));
            reserved:  assert (short_of == (product_q > working_p_q));
        end
    end
    // Each row, any, keeps worst = working + net and room = limit - worst, as long as nothing is added that does not fit.
    (* anyconst *) logic [INTERVAL_W:0] any_row;
    wire logic        [K-2:0] any_working, any_limit;
    wire logic signed [K-1:0] any_net;
    wire logic signed [K:0]   any_worst, any_room;
    assign {any_working, any_net, any_worst, any_limit, any_room} = table_q[any_row];
    wire logic [K-1:0] added = {1'b0, working_q} + {1'b0, number};
    wire logic signed [K:0] any_sum = $signed({2'b0, any_working}) + (K+1)'(any_net);
    logic fits_q;  // what stands to be written was added up without a carry
    always_ff @(posedge clk) begin
        true_q <= row_true;
        fits_q <= !rst && (clear || update_2_q || !added[K-1] && row_true);
    end
    // What the host says is held against a sum one bit wider, so that no sign is lost on the way.
    logic told_q, told_sell_q;
    logic signed [K:0] told_net_q;
    always_ff @(posedge clk) begin
        told_q      <= row_update_q && change == CHANGE_EXPOSURE && !rst;
        told_sell_q <= row_at_q[0];
        told_net_q  <= (K+1)'(cfg_net_kw);
    end
    wire logic signed [K:0] told_side = told_sell_q ? -told_net_q : told_net_q;
    wire logic signed [K:0] taken_over = (K+1)'(net_1_q);
    localparam logic signed [K:0] TOP = (K+1)'(2**(K-1) - 1), BOTTOM = -TOP;
    wire logic most_negative = told_net_q < BOTTOM;
    wire logic signed [K:0] filled = own ? (K+1)'(net_q) + moved : (K+1)'(net_q) - moved;
    logic signed [K-1:0] cfg_before_q;
    always_ff @(posedge clk) cfg_before_q <= cfg_net_kw;
    wire logic filling = write_q && write_at_q == any_row;  // cleared, or changed, at this edge
    always_comb begin
        assume (!enter || fits_q);
        // The gate enters a fill only where it fits, and the host's numbers stand long before the row.
        assume (!row_update_q || change != CHANGE_FILL || filled <= TOP && filled >= BOTTOM);
        assume (!row_update_q || cfg_before_q == cfg_net_kw);
        if (!ran_q) begin  // any row that is right, whichever way it came about
            assume (any_worst == any_sum && any_room == $signed({2'b0, any_limit}) - any_worst);
            assume (!write_q && !enter);
        end
        if (ran_q) begin
            ready:    assert (set_net_q == (cfg_before_q == {1'b1, {(K-1){1'b0}}} ? cfg_before_q + K'(1) : cfg_before_q));
            opposite: assert (!told_q || (most_negative ? taken_over == (told_sell_q ? TOP : BOTTOM)
                                                : taken_over == told_side));
            stepped: assert (!update_2_q || worst_2_q == $signed({2'b0, working_2_q}) + (K+1)'(net_2_q));
            kept:    assert (filling || any_worst == any_sum && any_room == $signed({2'b0, any_limit}) - any_worst);
        end
    end
`endif

`ifdef FORMAL_ROWS
    // What becomes of any row, computed from the row as it stands in the table. The gate keeps to what stands at the top: a
    // row is asked for again only once it is written, and one that an order enters stood, with nothing else on its way.
    wire logic asks = {interval, sell} == any_row;
    logic [INTERVAL_W:0] asked_row_q;
    logic [3:1]          stood_q;  // clocks for which one row was asked for, and nothing was on its way
    logic [K-2:0]        number_before_q;
    logic [5:1]          pending_q;  // an update of any_row, by its clocks
    logic                clearing_q;
    wire logic on_its_way = update || raw_update_q || row_update_q || update_1_q || update_2_q;
    always_ff @(posedge clk) begin
        asked_row_q     <= {interval, sell};
        stood_q         <= busy || update || enter || clear || rst || asked_row_q != {interval, sell} ? '0 : {stood_q[2:1], 1'b1};
        number_before_q <= number;
        pending_q       <= rst ? '0 : {pending_q[4:1], update && asks};
        clearing_q      <= clear && clear_row == any_row && !rst;
    end

    logic        [K-2:0] due_working_q, due_limit_q, is_working_q, is_limit_q;
    logic signed [K-1:0] due_net_q, is_net_q;
    wire logic any_sell = any_row[0];
    wire logic signed [K:0] bought = order_sell ? -moved : moved;
    wire logic signed [K:0] dealt = any_sell ? (K+1)'(any_net) - bought : (K+1)'(any_net) + bought;
    wire logic signed [K:0] told = cfg_net_kw < (K)'(BOTTOM) ? BOTTOM : (K+1)'(cfg_net_kw);
    wire logic signed [K:0] told_here = any_sell ? -told : told;
    always_ff @(posedge clk) if (pending_q[2]) begin
        due_working_q <= any_working;
        due_net_q     <= any_net;
        due_limit_q   <= any_limit;
        case (change)
            CHANGE_ADD:  due_working_q <= any_working + number;
            CHANGE_TAKE: due_working_q <= any_working - number;
            CHANGE_FILL: begin
                if (any_sell == order_sell) due_working_q <= any_working > number ? any_working - number : '0;
                due_net_q <= dealt[K-1:0];
            end
            CHANGE_LIMIT: due_limit_q <= any_sell ? cfg_short_max_kw : cfg_long_max_kw;
            CHANGE_EXPOSURE: begin
                due_working_q <= any_sell ? cfg_sell_working_kw : cfg_buy_working_kw;
                due_net_q     <= told_here[K-1:0];
            end
            default: ;
        endcase
    end
    // The row as it must be after this edge.
    always_ff @(posedge clk)
        {is_working_q, is_net_q, is_limit_q} <=
            clearing_q   ? '0 :
            pending_q[5] ? {due_working_q, due_net_q, due_limit_q} :
            enter && asks ? {any_working + number, any_net, any_limit} : {any_working, any_net, any_limit};
    always_comb begin
        assume (!enter || stood_q[3] && asked_row_q == {interval, sell} && number_before_q == number && !busy);
        assume (!(update && asks) || !(|pending_q) && !clearing_q && !enter);
        assume (!clear || !on_its_way && !enter);
        if (!ran_q) assume (pending_q == 0 && !clearing_q);
        if (ran_q) begin
            reserves: assert (is_working_q == any_working);
            deals:    assert (is_net_q == any_net);
            bounds:   assert (is_limit_q == any_limit);
        end
    end
`endif
endmodule
`default_nettype wire
