"""Meta-games: of windows of joint actions (Case II), of policies on a grid (Case I), and what they are made of."""
