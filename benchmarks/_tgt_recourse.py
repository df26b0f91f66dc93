def recourse(*a):
    pass
