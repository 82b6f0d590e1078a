"""The request path: handlers for API Gateway, the submission queue, dead letters and the sweeper's schedule."""
