import torch
from network import Network

torch.manual_seed(7)
network = Network()
optimizer = torch.optim.Adam(network.parameters())
steps = torch.randn(200, 5)
for _ in range(50):
    optimizer.zero_grad()
    loss = ((network(steps)[:, 0] - steps.mean(dim=1)) ** 2).mean()
    loss.backward()
    optimizer.step()
torch.save(network.state_dict(), "weights.pt")
