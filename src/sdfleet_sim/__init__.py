"""The fleet on paper: arrivals, boots, Spot markets and scaling policies as discrete events."""
