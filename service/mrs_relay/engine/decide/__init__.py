"""
Decide what follows from a fact: (job, fact, now) → decision. Pure: no I/O, no clock, no logging.

Read `transitions` first: one line for each fact, in the order of a job's life. The values are in `engine.model`;
`engine.event_builder` builds the events.

    acceptance           a new request, its repetition, the selection of its cluster
    submission           from admission to MRS's reply; doubt: lost replies and repetitions; duplicates: second jobs
    tracking             a job that MRS has; statements, cluster_operations: work outside MRS's list of jobs
    causes               a failed attempt: its log is read first
    retry                then: the job's end or its next attempt
    cancellation         cancels; deadlines: deadlines and expiry; resolution: a person's verdict
    answers              replies to messages that change no job
    internal_errors      failures of the relay itself
"""
