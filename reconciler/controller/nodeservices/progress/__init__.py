"""Progress that trainings report: upstream's status endpoint, in the daemon.

``payloads`` (what a report may say; pure) and ``tokens`` (whose it is) are the contract; ``desk`` answers
requests; ``inbox`` keeps the last report of a job until the job's next pass takes it into the record:
nobody but the pass writes records. ``reach`` (pure) says whether a job's containers can get to the daemon
at all, ``listeners`` opens an address for each network, ``renewing`` keeps tokens fresh in the mounted
files, ``service`` puts these together.
"""
