def latency(w,o): raise SystemExit
def startup(w,o): raise SystemExit
