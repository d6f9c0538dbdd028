"""How long things may take, in seconds: the numbers that depend on one another, or on others'.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

# --- a request to the API server ----------------------------------------------------------------

# One answer, from the connection to its last byte: half of what the API server gives itself (60).
REQUEST_TIMEOUT = 30
# An API server that is away, over all tries of a request: the minutes that the upgrade of a control
# plane takes, so many times REQUEST_TIMEOUT, and little against the hours that a flow may run.
PATIENCE = 600
# The same for `flowjob check --server`, as somebody sits before it: two tries that time out.
DRY_RUN_PATIENCE = 60
# That the Airflow connection may take to be loaded, or an exec plugin to give a token: then it is
# said, and waited for on and on within PATIENCE. Far above the seconds of a cloud's command line.
LOADING_TIMEOUT = 2 * REQUEST_TIMEOUT
# For which a right may be refused that was granted before, or will be: an API server that has just
# started may not have read its roles yet, nor may what tells it its users have started.
DOUBT = 30

# --- a watch ------------------------------------------------------------------------------------

# After which the server is asked to end a watch, which is then taken up where it stopped. By itself
# it would after 30 to 60 minutes, and load balancers cut connections before that.
WATCH_TIMEOUT = 300
# Without a byte after which the connection counts as dead. The server sends a bookmark each minute,
# which may be late by half of one. Below WATCH_TIMEOUT, or it would never count.
WATCH_SILENCE = 90
# Between two looks at a Job that may not be watched, at the most. The first come sooner: the delays
# between them begin below a second and double.
LONGEST_LOOK = 30.0

# Between two lines that say that something is still waited for.
REMINDER = 60

# --- a queue ------------------------------------------------------------------------------------

# After which it is asked what holds a Job in Kueue's queue, and then once a REMINDER: what has room
# is admitted sooner, and costs no request.
QUEUE_WORD = 2
# For which those who ask that wait for one another, to be answered together.
QUEUE_GATHERING = 1
# That the answer may take. It only tells more of what is known anyway.
QUEUE_ANSWER = 10

# --- a log --------------------------------------------------------------------------------------

# Without a line after which a follower connects anew. Longer than WATCH_SILENCE, as a log has no
# bookmarks: a flow may be silent for hours, and a dead connection looks the same.
LOG_SILENCE = 300
# That the pod's status may lag behind the end of its log stream, or that behind the Job's end: a
# stream that a kubelet leaves open is given up then, and the log read once more.
STATUS_LAG = 2
# After which a log that ends in the middle of a line is read once more, and again, and one that
# ends in a flood of lines once: a node writes the rest of a container that has just ended within
# moments, and a busy one within some more. But the flow may have ended so by itself.
LOG_WRITING = (1, 2)
# Between two states of a progress bar that are shown.
PROGRESS_SHOWN = 10
# Without a line of any of its pods, after which the logs of an ended flow run are given up: twice
# what a connection may take to be made, and far above STATUS_LAG. The outcome waits.
LOG_FINISH_TIMEOUT = 60
# After the end of a pod that the cluster takes away, within which its last lines are read or given
# up. The trigger's event waits for them, and the stream ends with the pod.
TAIL_TIMEOUT = 5

# That the removal of a Secret that no Job came for may take: who ends a launch waits for it, and
# SIGKILL may be near.
SECRET_REMOVAL = 2

# From the look at what earlier tries have left to one's own Job, where nothing holds a launch up.
# One that takes longer looks again, so long after: of two launches at once, one sees the other's.
LAUNCH_AT_ONCE = 1

# --- a system that knows the flow's runs, too -----------------------------------------------------

# One that is away, where the Job has failed and only the reason could be told better. Where the Job
# has succeeded, its word decides: then it is waited for as the API server is.
REMOTE_REASON = 60
# One that gives no answer, where a flow run is killed: a worker that was sent SIGTERM has 5 s, in
# which it has to say what became of the Job, too.
REMOTE_KILL = 2

# --- Airflow ------------------------------------------------------------------------------------

# That Airflow may take to say what became of a task in a worker that was sent SIGTERM: SIGKILL
# comes 5 s after it, and the rest is for the deletion of the Job.
ANSWER_TIMEOUT = 3
# After Airflow's answer that it has recorded a task's end, within which it may not tell so yet: an
# API server may answer a moment before it commits.
COMMIT_LAG = 2
# That a worker waits before it defers, about what it costs to resume: so a flow run takes no worker
# for more than twice as long as it would at best, however long its flow takes.
DEFER_AFTER = 5
# Over `[workers] min_heartbeat_interval`, within which no trigger ends after its task deferred. The
# supervisor may notice only at its next heartbeat that the process has ended, and the executor has
# to tell the scheduler after that: a task that is resumed before fails.
DEFERRAL_MARGIN = 5
# The same on a busy machine: so many times what the process took to its first step, which is two
# seconds on a quiet one; and so many seconds at the most, should it have had other reasons.
SLOW_START = 2.5
LONGEST_DEFERRAL_MARGIN = 60
# That a trigger stays after the last line of a kill: Airflow loses what is logged right before its
# end, as it reads log and news of triggers by different ways.
LAST_LINE = 1
# A Job that Kubernetes deletes so soon after its end may not be there for a later try to find:
# Airflow misses a dead worker after 300 s, and the retry waits for another 300, both by default.
SHORT_TTL = 600
