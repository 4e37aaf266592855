"""A coding agent's command line at work on a problem: it writes and asks, the judge answers, the loop keeps account.

The agent gets a workspace with the task, the problem and a command that has candidates judged, and nothing else of
kopt's: no judge, no hidden workload, no other run (:mod:`kopt.sandbox.guest`).
"""
