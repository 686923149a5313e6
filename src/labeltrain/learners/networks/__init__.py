"""Networks that learn from the items themselves: pretrained ones, and ones from scratch."""
