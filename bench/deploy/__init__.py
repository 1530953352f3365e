"""What a run costs: first runs, and runs that find nothing to do, beside others that do the job."""
