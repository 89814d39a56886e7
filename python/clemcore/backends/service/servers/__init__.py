"""Several servers of one model: their addresses, which one a call goes to, and whether they are alike."""
