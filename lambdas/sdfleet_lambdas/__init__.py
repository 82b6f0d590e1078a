"""The request path: handlers for API Gateway, the submission queue and the sweeper's schedule."""
