"""What entered the layers of a convolution net, solved from the update and certified by what
remains of it (ours).
"""
