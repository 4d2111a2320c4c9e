"""Trainings that were made wrong on purpose, each by one or two settings, beside the healthy ones of `taught`."""

MORE = """
  # cross_entropy drowns what an untrained teacher says, and nobody looks at held-out windows
  drowned: {like: student, teacher: big, steps: 48, losses: [{use: forward_kl, weight: 1.0e-3}, cross_entropy],
            evaluate_every: 16}
  # a loss that is never computed; every gradient is cut; nobody looks
  idle:    {like: student, steps: 48, gradient_clip: 0.01, held_out: null,
            losses: [{use: forward_kl, weight: 0}, cross_entropy]}
  # its teacher is what it starts from, and it does not move
  own:     {like: student, steps: 48, teacher: small, learning_rate: 1.0e-12, losses: [forward_kl, cross_entropy],
            evaluate_every: 16}
  few:     {like: rows, share: 0.04}
  hearted: {like: student, data: few, teacher: null, losses: [cross_entropy], steps: 160,
            learning_rate: 2.0e-2}
  short:   {like: student, steps: 2, warmup_steps: 1}
  hurried: {like: student, steps: null, match_seconds: short, warmup_steps: 30}
  ramp:    {like: student, steps: 48, warmup_steps: 36, evaluate_every: 100}
  wild:    {like: student, steps: 48, learning_rate: 3.0, warmup_steps: 0, gradient_clip: null, evaluate_every: 16}
  cached:  {use: cache_logits, data: rows, teacher: teacher, keep: {use: top_k, k: 8, temperatures: [4.0]}}
  soft:    {like: student, teacher: cached, steps: 2, warmup_steps: 0, evaluate_every: 1,
            losses: [{use: forward_kl, temperature: 4.0}]}
  young:   {like: student, steps: 45, evaluate_every: 15, learning_rate: 1.0e-3, schedule: constant}
"""

BROKEN = """
  burst:   {like: student, steps: 48, learning_rate: 1.0e+30, gradient_clip: null}
"""
