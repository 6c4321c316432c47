"""Settlement: cash flows of trades, futures, swaps and imbalance, and the invoices drawn from them."""
