"""What is run to make or check the repository; no part of any distribution."""
