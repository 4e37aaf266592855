"""Questions about problems and candidates, answered one at a time on this machine, within one budget.

The service (:mod:`kopt.rl.service.jobs`) queues jobs and owns the ledger; one worker process
(:mod:`kopt.rl.service.worker`) does them and keeps the last problem's judge warm. It speaks no protocol of its
own: faces such as `kopt mcp` put theirs before it.
"""
