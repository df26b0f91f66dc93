def wide(*a):
    pass
